import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { FiddlerError } from '../../errors.js';
import type { Outline } from './outline.js';
import { SharedMask } from './shared.js';
import { type Deadlines, GrammarThread } from './thread.js';
import type { GrammarAnswer, GrammarModel, GrammarRequest, Held } from './worker.js';

const DEADLINES: Deadlines = { one: 10_000, first: 30_000 };
/** Threads at the same time; each has the vocabulary. */
const MOST = 4;
/** Milliseconds for which a thread beside others waits for more. */
const IDLE = 60_000;

/** Where the engine thread gets an answer's masks; `port` takes its tokens. */
export interface Constraint {
  memory: SharedArrayBuffer;
  port: MessagePort;
  /** Masks begin where the answer does, and not behind what the model thinks. */
  isWhole: boolean;
}

/** A grammar whose turn is to come. */
interface Waiting {
  request: GrammarRequest;
  done: (answer: GrammarAnswer) => void;
}

/**
 * Holds answers to grammars, on threads of their own: while the engine computes a token's logits, its mask is made. A grammar
 * is compiled where no answer runs, so that neither waits for it and none ends with it; answers to one share its thread.
 */
export class Grammars {
  readonly #threads = new Set<GrammarThread>();
  readonly #waiting = new Set<Waiting>();
  #idle: NodeJS.Timeout | undefined;

  constructor(
    private readonly model: GrammarModel,
    private readonly script: URL = new URL('./worker.js', import.meta.url),
    private readonly deadlines: Deadlines = DEADLINES,
  ) {}

  /**
   * Compiles a grammar, or finds it compiled; `release` what it gives once the answer has ended.
   * @param marks texts in it that are tokens of their own, where the tokenizer has them so
   * @throws FiddlerError `usage`: the grammar engine cannot read it, or not in time
   */
  async constrain(
    outline: Outline,
    { marks = [], isWhole = false }: { marks?: readonly string[]; isWhole?: boolean } = {},
  ): Promise<Constraint> {
    const { memory } = SharedMask.make(this.model.vocabulary);
    const { port1: mine, port2: port } = new MessageChannel();
    const held = JSON.stringify({ outline, marks } satisfies Held);
    const { problem } = await new Promise<GrammarAnswer>((done) => {
      this.#waiting.add({ request: { held, memory, port: mine }, done });
      this.#next();
    });
    if (problem === undefined) return { memory, port, isWhole };
    throw new FiddlerError('usage', `what the answer is to be cannot be kept: ${problem}`, 'ask for less');
  }

  release({ memory }: Constraint): void {
    for (const thread of [...this.#threads]) thread.release(memory);
  }

  close(): void {
    clearTimeout(this.#idle);
    const problem = 'the model was closed';
    for (const { done } of this.#waiting) done({ problem });
    this.#waiting.clear();
    for (const thread of [...this.#threads]) thread.end(problem);
  }

  /** Gives what waits to threads. */
  #next(): void {
    for (const thread of this.#threads) if (thread.isEnded) this.#threads.delete(thread);
    for (const waiting of this.#waiting) {
      const { request, done } = waiting;
      const thread = this.#threadFor(request.held);
      if (!thread) continue;
      this.#waiting.delete(waiting);
      void thread.ask(request).then(done);
    }
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => this.#endIdle(), IDLE).unref();
  }

  /** Where it is compiled, or may be; undefined: it has to wait. */
  #threadFor(held: string): GrammarThread | undefined {
    const threads = [...this.#threads];
    if (threads.some((thread) => thread.compiles(held))) return undefined; // there it will be
    const found = threads.find((thread) => thread.has(held)) ?? threads.find(({ isFree }) => isFree);
    if (found || threads.length >= MOST) return found;
    const thread = new GrammarThread(this.model, this.script, this.deadlines, () => this.#next());
    this.#threads.add(thread);
    return thread;
  }

  #endIdle(): void {
    for (const thread of [...this.#threads].filter(({ isFree }) => isFree).slice(1)) thread.end('nobody needs it');
  }
}
