import type { MessagePort } from 'node:worker_threads';
import type { Engine, LoadEngine } from '../engine/engine.js';
import { FiddlerError } from '../errors.js';
import type { Activity, ModelInfo, ScoredToken, TokenLogprob } from '../report.js';
import { StreamDecoder } from '../text/stream.js';
import { type AddedToken, loadTokenizer, type Tokenizer } from '../text/tokenizer.js';
import { AnswerReader } from './answer.js';
import { choiceOf } from './choices.js';
import { CallFlags } from './flags.js';
import { Outbox } from './outbox.js';
import {
  type CallKind,
  type CallNews,
  type Calls,
  type Prompt,
  type Request,
  type Response,
  toMessage,
} from './protocol.js';

/** Milliseconds between looks for messages: the thread wakes for each, and nobody is sooner served than by the next call. */
const INTERVAL = 4;

/** One call as its handler sees it, which ends it once, by one of the last two. */
interface Call<K extends CallKind> {
  input: Calls[K]['input'];
  item: (item: Calls[K]['item']) => void;
  cancelled: () => boolean;
  /** Whether it should wait for its reader. */
  rests: () => boolean;
  done: (result: Calls[K]['result']) => void;
  failed: (error: unknown) => void;
}

type Handlers = { [K in CallKind]: (call: Call<K>) => void };

/** The engine thread's side: does the calls that arrive at `port`, texts side by side, until it is told to close. */
export function serve(port: MessagePort, loadEngine: LoadEngine): void {
  let model: LoadedModel | undefined;
  const at =
    <K extends CallKind>(give: (call: Call<K>) => Calls[K]['result']) =>
    (call: Call<K>) =>
      answer(call, () => give(call));
  const handlers: Handlers = {
    load: at((call) => {
      model = new LoadedModel(loadEngine, call);
      return model.info;
    }),
    generate: (call) => model!.generate(call),
    beams: (call) => model!.beams(call),
    score: (call) => model!.score(call),
    profile: (call) => model!.profile(call),
    encode: at(({ input: { text, special, standIns } }) => model!.encode(text, special, standIns)),
    decode: at(({ input: { ids } }) => model!.decode(ids)),
    added: at(() => model!.added),
    activity: at(() => model!.activity),
  };
  const post = (response: Response) => port.postMessage(response);
  const outbox = new Outbox<CallNews>((news) => post({ kind: 'news', news }));
  const flags = new CallFlags();
  let working = false;

  /** Computes until there is nothing left, and lets messages in between. */
  function work(): void {
    const until = performance.now() + INTERVAL;
    do {
      working = model?.advance() === true;
      outbox.flushDue(); // tokens of a call of the model go together
    } while (working && performance.now() < until);
    if (working) setImmediate(work);
    else outbox.flush();
  }

  function close(): void {
    try {
      while (model?.advance()); // all that is left was cancelled
      outbox.flush();
      model?.close();
    } catch (error) {
      post({ kind: 'unclosed', error: toMessage(error) });
    }
    working = false;
    model = undefined;
    port.close();
  }

  function wake(): void {
    if (working) return;
    working = true;
    setImmediate(work); // behind what has arrived by then
  }

  port.on('message', (request: Request) => {
    if (request.kind === 'close') return close();
    if (request.kind === 'wake') return wake();
    if (request.kind === 'flags') return flags.add(request.memory);
    const { kind, id, input, flags: place } = request;
    const item = (made: never) => {
      outbox.add({ id, item: made });
      if (kind !== 'generate') outbox.flushDue(); // it is done in one go
    };
    const call: Call<never> = {
      input: input as never,
      item,
      cancelled: () => flags.isUp(place, 'ends'),
      rests: () => flags.isUp(place, 'rests'),
      done: (result) => outbox.add({ id, result }, true),
      failed: (error) => outbox.add({ id, error: toMessage(error) }, true),
    };
    (handlers[kind] as (call: object) => void)(call); // of the kind that the input is for
    outbox.flushDue();
    wake();
  });
}

function answer<K extends CallKind>({ done, failed }: Call<K>, give: () => Calls[K]['result']): void {
  let result: Calls[K]['result'];
  try {
    result = give();
  } catch (error) {
    failed(error);
    return;
  }
  done(result);
}

class LoadedModel {
  readonly #tokenizer: Tokenizer | undefined;
  readonly #engine: Engine;

  constructor(
    loadEngine: LoadEngine,
    { input: { dir, options }, item, cancelled }: Omit<Call<'load'>, 'done' | 'failed'>,
  ) {
    this.#tokenizer = loadTokenizer(dir);
    this.#engine = loadEngine(dir, {
      ...options,
      onProgress: (done, total) => {
        throwIfEnded();
        item({ done, total });
      },
      onWarning: (warning) => item({ warning }),
      throwIfEnded,
    });
    for (const id of this.#tokenizer?.ends ?? []) this.#engine.endTokens.add(id);
    try {
      this.#engine.warmUp();
      throwIfEnded();
    } catch (error) {
      throw FiddlerError.after(error, () => this.close());
    }

    function throwIfEnded(): void {
      if (cancelled()) throw new FiddlerError('usage', 'loading was ended', 'load it again');
    }
  }

  get info(): ModelInfo {
    return { ...this.#engine.info, endTokens: [...this.#engine.endTokens] };
  }

  get activity(): Activity {
    return this.#engine.activity;
  }

  /** Computes the next call of the model for what was asked. @returns whether there is more to do */
  advance(): boolean {
    return this.#engine.advance();
  }

  generate(call: Call<'generate'>): void {
    const { input, item, cancelled, rests, failed } = call;
    const { prompt, options } = input;
    let reader: AnswerReader | undefined;
    try {
      if (options.stop?.length) this.#textModel('stop at a text');
      const ids = this.#ids(prompt);
      reader = this.#tokenizer && this.#reader(this.#tokenizer, ids, call);
      const onToken = reader?.push ?? plain;
      this.#engine.begin({ prompt: ids, options, onToken, cancelled, rests, mask: reader?.mask }, (outcome) => {
        answer(call, () => {
          try {
            if ('error' in outcome) throw outcome.error;
            const stop = reader?.finish();
            if (stop !== undefined) outcome.report.stop = stop;
            return outcome.report;
          } finally {
            reader?.end();
          }
        });
      });
    } catch (error) {
      if (reader) reader.end();
      else input.constraint?.port.close();
      failed(error);
    }

    function plain(token: number, top?: TokenLogprob[], logprob?: number): boolean {
      item({ token, text: '', ...(top && { top, logprob }) });
      return false;
    }
  }

  #reader(tokenizer: Tokenizer, prompt: readonly number[], { input, item }: Call<'generate'>): AnswerReader {
    const continued = this.#continued(prompt);
    return new AnswerReader({ tokenizer, prompt, continued, ends: this.#engine.endTokens, asked: input, item });
  }

  /** What of a prompt its answer's text continues: that of an encoder-decoder is a text of its own. */
  #continued(prompt: readonly number[]): readonly number[] {
    return this.#engine.info.architecture === 'encoder-decoder' ? [] : prompt;
  }

  beams(call: Call<'beams'>): void {
    const { input, cancelled, failed } = call;
    try {
      const prompt = this.#ids(input.prompt);
      this.#engine.search({ prompt, options: input.options, cancelled }, (outcome, found) => {
        answer(call, () => {
          if ('error' in outcome) throw outcome.error;
          const choices = found.map((each) => choiceOf(each, (tokens) => this.#textBehind(prompt, tokens)));
          return { choices, reports: [outcome.report] };
        });
      });
    } catch (error) {
      failed(error);
    }
  }

  /** The text of tokens that follow a prompt; '' without a tokenizer. */
  #textBehind(prompt: readonly number[], tokens: readonly number[]): string {
    if (!this.#tokenizer) return '';
    const decoder = new StreamDecoder(this.#tokenizer, this.#continued(prompt));
    return tokens.map((token) => decoder.push(token)).join('');
  }

  score(call: Call<'score'>): void {
    const { input, item, cancelled } = call;
    this.#alone(call, () => {
      const decoder = this.#tokenizer && new StreamDecoder(this.#tokenizer);
      const onToken = (scored: ScoredToken) => item({ ...scored, text: decoder?.push(scored.token) ?? '' });
      return this.#engine.score(this.#ids(input.prompt), input.logprobs, onToken, cancelled);
    });
  }

  profile(call: Call<'profile'>): void {
    const { input, item, cancelled } = call;
    this.#alone(call, () => {
      const ids = input.texts.map((text) => (typeof text === 'string' ? this.encode(text, true) : text));
      return this.#engine.profile(ids, (done, total) => item({ done, total }), cancelled);
    });
  }

  /** Others that generate wait for it. */
  #alone<K extends CallKind>(call: Call<K>, work: () => Calls[K]['result']): void {
    this.#engine.whenFree(() => answer(call, work), call.cancelled);
  }

  encode(text: string, addSpecial: boolean, standIns = false): number[] {
    return this.#textModel('read text').encode(text, { addSpecial, standIns });
  }

  decode(ids: readonly number[]): string {
    return this.#textModel('write text').decode(ids, { skipSpecial: false });
  }

  get added(): readonly AddedToken[] {
    return this.#textModel('read text').added;
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
    const problem = `${this.#engine.info.name} has no tokenizer, so the model cannot ${purpose}`;
    throw new FiddlerError('usage', problem, 'give token ids (--tokens), or add tokenizer.json to the folder');
  }
}
