import type { Logger } from 'pino';
import type { AnswerOptions, GeneratedToken, Generation, Model, Report, Tool } from '../index.js';
import { Linked } from '../linked.js';
import { Admission } from './admission.js';
import { HttpError } from './errors.js';
import { Metrics } from './metrics.js';
import { Turn } from './turn.js';

/** What a server is told. */
export interface ServiceOptions {
  /** Generations that run at the same time. */
  parallel: number;
  /** Generations that wait. */
  queue: number;
  /** Names by which requests may call the model, in place of its own. */
  aliases: readonly string[];
  logPrompts: boolean;
}

/** Bytes of a body beside its prompt, and for each token of the context: more than any language takes. */
const BODY_BYTES = 1 << 20;
const BYTES_PER_TOKEN = 16;
/** Longer contexts make bodies no larger, since reading one blocks all others meanwhile. */
const LONGEST_SIZED = 1 << 18;

/** The largest body that is taken into memory. */
export const LONGEST_BODY = BODY_BYTES + BYTES_PER_TOKEN * LONGEST_SIZED;

/** Tokens of an answer that wait for a slow client; then it is not generated any further. */
const AHEAD = 256;

/** An answer's tokens, and its report as the last value. */
export type Answer = AsyncGenerator<GeneratedToken, Report>;

/** Seconds after which a server that starts or stops should be asked again. */
const SOON = 5;

/** The model behind all routes, from before it is loaded until after the last request. */
export class Service {
  readonly admission: Admission;
  readonly metrics: Metrics;
  #model: Model | undefined;
  /** Why nothing is answered. */
  #closed: string | undefined = 'the model is being loaded';
  readonly #requests = new Linked<AbortController>();
  /** Of requests that ended without: of each new one Node 20 leaves a kilobyte behind until a full garbage collection. */
  readonly #unused: AbortController[] = [];
  readonly #ending = new AbortController();
  #idle: (() => void) | undefined;

  constructor(
    readonly options: ServiceOptions,
    readonly log: Logger,
  ) {
    this.admission = new Admission(options.parallel, options.queue);
    this.metrics = new Metrics(this.admission);
  }

  /** @throws HttpError 503 while it is loaded, and once the server ends */
  get model(): Model {
    if (this.#closed === undefined && this.#model) return this.#model;
    throw new HttpError(503, 'unavailable', `${this.#closed}; try again later`, { retryAfter: SOON });
  }

  /** Why nothing is answered at the moment. */
  get closed(): string | undefined {
    return this.#closed;
  }

  /** Names of the model, the first of which answers have. */
  get names(): readonly string[] {
    return this.options.aliases.length > 0 ? this.options.aliases : [this.model.info.name];
  }

  /** UTF-16 code units of the largest body that is read. */
  get longestBody(): number {
    const { context } = this.model.info;
    return BODY_BYTES + BYTES_PER_TOKEN * Math.min(context, LONGEST_SIZED);
  }

  /** The model that a request names, or any. @throws HttpError 404 */
  named(name: string | undefined): string {
    const { names } = this;
    const found = name === undefined ? names[0] : names.find((known) => known === name);
    if (found !== undefined) return found;
    const problem = `there is no model ${name} here, but ${names.join(', ')}`;
    throw new HttpError(404, 'model_not_found', problem, { param: 'model' });
  }

  /** Aborted once no more requests are taken. */
  get ending(): AbortSignal {
    return this.#ending.signal;
  }

  loading(done: number, total: number): void {
    this.#closed = `the model is being loaded (${total > 0 ? Math.floor((100 * done) / total) : 0}%)`;
  }

  loaded(model: Model): void {
    this.#model = model;
    this.#closed = undefined;
    model.chatTemplate().catch(() => {}); // read now, and not by the first request, which hears of what is wrong with it
  }

  /**
   * A signal that is aborted once the request's client has gone, or the server ends; and what to call at its end, from when
   * on it is another's.
   */
  begin(): { controller: AbortController; end: () => void } {
    const controller = this.#unused.pop() ?? new AbortController();
    const place = this.#requests.add(controller);
    const end = () => {
      this.#requests.remove(place);
      if (!controller.signal.aborted) this.#unused.push(controller);
      if (this.#requests.size === 0) this.#idle?.();
    };
    return { controller, end };
  }

  /** Takes no more requests, and resolves once those that run have ended, or after `seconds` have been ended. */
  async drain(seconds: number): Promise<void> {
    this.#closed = 'the server is ending';
    this.#ending.abort();
    this.admission.refuseWaiting(new HttpError(503, 'unavailable', this.#closed, { retryAfter: SOON }));
    if (this.#requests.size === 0) return;
    const timer = setTimeout(() => this.abort(), 1000 * seconds);
    await new Promise<void>((resolve) => {
      this.#idle = resolve;
    });
    clearTimeout(timer);
  }

  /** Ends what runs. */
  abort(): void {
    for (const controller of this.#requests) controller.abort();
  }

  /**
   * Has `prepare` make `count` prompts once there is a place, and answers them, each in its place.
   * @param asked `tools`: those that may be called, in a conversation
   * @param options of the n-th answer
   * @throws HttpError 429: there is no place; what `prepare` throws
   */
  async answer(
    { count, signal, tools }: { count: number; signal: AbortSignal; tools?: readonly Tool[] },
    prepare: () => Promise<readonly (readonly number[])[]>,
    options: (index: number) => AnswerOptions,
  ): Promise<{ prompts: readonly (readonly number[])[]; answers: Answer[] }> {
    const { model } = this;
    const begin = performance.now();
    const places = this.admission.enter(count);
    let running = count;
    const turns = places.map(
      (place) =>
        new Turn(place, () => {
          if (--running === 0) signal.removeEventListener('abort', leave);
        }),
    );
    const leave = () => {
      for (const turn of turns) turn.leave();
    };
    signal.addEventListener('abort', leave);
    try {
      await places[0]!.ready;
      const prompts = await prepare();
      for (const prompt of new Set(prompts)) {
        this.checkLength(prompt);
        if (this.options.logPrompts) this.log.info({ prompt: await model.decode(prompt) });
      }
      const answers = turns.map((turn, index) => {
        const prompt = prompts[index]!;
        const all = { signal, ahead: AHEAD, ...options(index) };
        const start = () => (tools ? model.answer(prompt, { ...all, tools }) : model.generate(prompt, all));
        return this.#answer(turn, turns, begin, start);
      });
      return { prompts, answers };
    } catch (error) {
      leave();
      throw error;
    }
  }

  /** What is left before it was started is not started: a generator alone would end at its next token. */
  #answer(turn: Turn, turns: readonly Turn[], begin: number, start: () => Generation): Answer {
    const answer = this.#generate(turn, turns, begin, start);
    const end = answer.return.bind(answer);
    answer.return = (report) => {
      turn.end();
      return end(report);
    };
    return answer;
  }

  /**
   * @param turns of all answers of the request, none of which is of use where one fails
   * @throws HttpError 503 where the server ended it
   */
  async *#generate(turn: Turn, turns: readonly Turn[], begin: number, start: () => Generation): Answer {
    let last = begin;
    let isFirst = true;
    const fail = () => {
      for (const { end } of turns) end(); // before the next of them has this one's place
      turn.leave();
    };
    try {
      const generation = await turn.start(start);
      generation.report.then(turn.leave, fail); // whoever reads slowly needs no place for the rest
      for await (const token of generation.tokens()) {
        const now = performance.now();
        this.metrics.token(isFirst, (now - last) / 1000);
        [last, isFirst] = [now, false];
        yield token;
      }
      const report = await generation.report;
      this.metrics.answer(report);
      if (report.finish === 'aborted') throw new HttpError(503, 'unavailable', 'the server is ending');
      return report;
    } catch (error) {
      fail();
      throw error;
    } finally {
      turn.leave();
    }
  }

  /** @throws HttpError 400: more tokens than the context holds */
  checkLength(prompt: readonly number[]): void {
    const { context } = this.model.info;
    if (prompt.length <= context) return;
    // Agents shorten what was said where they find the words of OpenAI's API, or of Anthropic's.
    const most = `this model's maximum context length is ${context} tokens`;
    const problem = `prompt is too long: ${prompt.length} tokens > ${context} maximum; ${most}`;
    throw new HttpError(400, 'context_length_exceeded', problem);
  }
}
