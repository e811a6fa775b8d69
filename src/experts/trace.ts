import { closeSync, openSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import { FiddlerError } from '../errors.js';
import type { Routes } from './assignments.js';
import type { ExpertsSpec } from './spec.js';

/** What a trace was recorded of: the experts of each layer with routed experts, and how many of them a token chooses. */
export interface TracedModel {
  model: string;
  layers: readonly Pick<ExpertsSpec, 'count' | 'chosen'>[];
}

/** A call of the model: what its tokens chose, from layer `first` on. */
export interface TracedCall {
  tokens: number;
  first: number;
  /** Of each layer the experts [tokens, chosen]; −1 where a capacity left a token out. */
  experts: readonly (readonly number[])[];
}

/** Bytes that are gathered before they are written. */
const GATHERED = 65_536;
/** Tokens of a call that are read: more than any call has. */
const MOST_TOKENS = 1 << 20;

const count = z.int().min(1).max(65_536);
const header = z.object({
  format: z.literal('fiddler-trace'),
  version: z.literal(1),
  model: z.string(),
  layers: z.array(z.object({ count, chosen: count })).min(1),
});
const line = z.object({
  tokens: z.int().min(1).max(MOST_TOKENS),
  first: z.int().min(0),
  experts: z.array(z.array(z.int().min(-1))).min(1),
});

/** Writes what the routers of a model choose into a file: a line of JSON that names the model, then one for each call. */
export class TraceWriter {
  private readonly file: number;
  private readonly lines: string[] = [];
  private gathered = 0;
  private call?: { tokens: number; first: number; experts: number[][] };

  /** @throws FiddlerError `file` */
  constructor(
    private readonly path: string,
    model: string,
    layers: TracedModel['layers'],
  ) {
    const shapes = layers.map(({ count, chosen }) => ({ count, chosen }));
    this.file = this.asked(() => openSync(path, 'w'));
    this.write({ format: 'fiddler-trace', version: 1, model, layers: shapes });
  }

  /** A layer's routes; a layer that does not follow the one before begins a call. */
  routed({ layer, tokens, chosen, experts }: Routes): void {
    const { call } = this;
    const chose = Array.from(experts.subarray(0, tokens * chosen));
    if (call && call.tokens === tokens && layer === call.first + call.experts.length) call.experts.push(chose);
    else {
      this.endCall();
      this.call = { tokens, first: layer, experts: [chose] };
    }
  }

  /** @throws FiddlerError `file` */
  close(): void {
    try {
      this.endCall();
      this.flush();
    } finally {
      closeSync(this.file);
    }
  }

  private endCall(): void {
    if (this.call) this.write(this.call);
    this.call = undefined;
  }

  private write(record: object): void {
    const text = `${JSON.stringify(record)}\n`;
    this.lines.push(text);
    this.gathered += text.length;
    if (this.gathered >= GATHERED) this.flush();
  }

  private flush(): void {
    const text = this.lines.join('');
    this.lines.length = 0;
    this.gathered = 0;
    this.asked(() => writeFileSync(this.file, text));
  }

  private asked<T>(write: () => T): T {
    try {
      return write();
    } catch (error) {
      const { message } = error as Error;
      throw new FiddlerError('file', `the trace ${this.path} cannot be written: ${message}`, 'name another file', {
        cause: error,
      });
    }
  }
}

/** Reads a trace line by line. */
export class TraceReader {
  model?: TracedModel;
  private lines = 0;

  constructor(private readonly path: string) {}

  /** @returns the call of a line; undefined of the first, which names the model. @throws FiddlerError `file` */
  read(text: string): TracedCall | undefined {
    this.lines++;
    try {
      const value: unknown = JSON.parse(text);
      if (this.model) return this.checked(line.parse(value));
      const { model, layers } = header.parse(value);
      this.model = { model, layers };
      return undefined;
    } catch {
      const problem = `line ${this.lines} of ${this.path} is no ${this.model ? 'call of its model' : 'head of a trace'}`;
      throw new FiddlerError('file', problem, 'record it with `fiddler run --trace FILE`');
    }
  }

  private checked(call: TracedCall): TracedCall {
    const layers = this.model!.layers.slice(call.first);
    const fits = call.experts.every((experts, l) => {
      const { count, chosen } = layers[l]!;
      return experts.length === call.tokens * chosen && experts.every((e) => e < count);
    });
    if (!fits) throw new Error('other layers than its model has');
    return call;
  }
}
