import type { MessagePort } from 'node:worker_threads';
import type { Engine, LoadEngine } from '../engine/engine.js';
import type { ModelInfo, Report, TokenLogprob } from '../engine/options.js';
import { FiddlerError } from '../errors.js';
import type { Profile } from '../experts/profile.js';
import { reasoningParser } from '../text/reasoning/index.js';
import { StreamDecoder } from '../text/stream.js';
import { loadTokenizer, type Tokenizer } from '../text/tokenizer.js';
import { Outbox } from './outbox.js';
import { type CallKind, type Calls, type Prompt, type Request, type Response, toMessage } from './protocol.js';
import { TextWriter } from './writer.js';

/** One call as its handler sees it. */
interface Call<K extends CallKind> {
  input: Calls[K]['input'];
  item: (item: Calls[K]['item']) => void;
  cancelled: () => boolean;
}

/** The engine thread's side: does the calls that arrive at `port`, one after the other, until it is told to close. */
export function serve(port: MessagePort, loadEngine: LoadEngine): void {
  let model: LoadedModel | undefined;
  const handlers: { [K in CallKind]: (call: Call<K>) => Calls[K]['result'] } = {
    load: (call) => {
      model = new LoadedModel(loadEngine, call);
      return model.info;
    },
    generate: (call) => model!.generate(call),
    score: (call) => model!.score(call),
    profile: (call) => model!.profile(call),
    encode: ({ input }) => model!.encode(input.text, input.special),
  };
  const post = (response: Response) => port.postMessage(response);

  port.on('message', (request: Request) => {
    if (request.kind === 'close') {
      model?.close();
      port.close();
      return;
    }
    const { kind, id, input, cancel } = request;
    const flag = new Int32Array(cancel);
    const outbox = new Outbox<never>((items) => post({ kind: 'items', id, items }));
    const call = {
      input,
      item: (item: never) => outbox.push(item),
      cancelled: () => Atomics.load(flag, 0) !== 0,
    };
    let answer: Response;
    try {
      const handler = handlers[kind] as (call: Call<CallKind>) => Calls[CallKind]['result'];
      answer = { kind: 'result', id, result: handler(call as Call<CallKind>) };
    } catch (error) {
      answer = { kind: 'error', id, error: toMessage(error) };
    }
    outbox.flush();
    post(answer);
  });
}

class LoadedModel {
  readonly #tokenizer: Tokenizer | undefined;
  readonly #engine: Engine;
  readonly #dir: string;

  constructor(loadEngine: LoadEngine, { input: { dir, options }, item, cancelled }: Call<'load'>) {
    this.#dir = dir;
    this.#tokenizer = loadTokenizer(dir);
    this.#engine = loadEngine(dir, {
      ...options,
      onProgress: (done, total) => {
        if (cancelled()) throw new Error('loading was ended');
        item({ done, total });
      },
      onWarning: (warning) => item({ warning }),
    });
    this.#engine.warmUp();
  }

  get info(): ModelInfo {
    return this.#engine.info;
  }

  generate({ input: { prompt, options, channels }, item, cancelled }: Call<'generate'>): Report {
    const stop = options.stop ?? [];
    if (stop.length > 0) this.#textModel('stop at a text');
    const ids = this.#ids(prompt);
    if (!this.#tokenizer) return this.#engine.generate(ids, options, plain, cancelled);

    const parser = channels ? reasoningParser(this.#tokenizer, ids) : undefined;
    const continued = this.info.architecture === 'encoder-decoder' ? [] : ids; // an answer is a text of its own
    const writer = new TextWriter({ tokenizer: this.#tokenizer, prompt: continued, stop, parser, onToken: item });
    const report = this.#engine.generate(ids, options, (token, top) => writer.push(token, top), cancelled);
    writer.finish();
    return report;

    function plain(token: number, top?: TokenLogprob[]): boolean {
      item({ token, text: '', ...(top && { top }) });
      return false;
    }
  }

  score({ input: { prompt, logprobs }, item, cancelled }: Call<'score'>): Report {
    const decoder = this.#tokenizer && new StreamDecoder(this.#tokenizer);
    const ids = this.#ids(prompt);
    return this.#engine.score(
      ids,
      logprobs,
      (scored) => item({ ...scored, text: decoder?.push(scored.token) ?? '' }),
      cancelled,
    );
  }

  profile({ input: { texts }, item, cancelled }: Call<'profile'>): Profile | undefined {
    const ids = texts.map((text) => (typeof text === 'string' ? this.encode(text, true) : text));
    return this.#engine.profile(ids, (done, total) => item({ done, total }), cancelled);
  }

  encode(text: string, addSpecial: boolean): number[] {
    return this.#textModel('read text').encode(text, { addSpecial });
  }

  close(): void {
    this.#engine.close();
  }

  #ids(prompt: Prompt): readonly number[] {
    const ids = typeof prompt === 'string' ? this.encode(prompt, true) : prompt;
    if (ids.length === 0) throw new FiddlerError('usage', 'the prompt is empty', 'give at least one token');
    return ids;
  }

  #textModel(purpose: string): Tokenizer {
    if (this.#tokenizer) return this.#tokenizer;
    const problem = `${this.#dir} has no tokenizer.json, so the model cannot ${purpose}`;
    throw new FiddlerError('usage', problem, 'give token ids (--tokens), or add that file to the folder');
  }
}
