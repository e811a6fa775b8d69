import type { Report } from '../report.js';
import { checkFinite, logprobOf, topLogprobs } from '../sampling/logprobs.js';
import { createSampler, GENERATE_DEFAULTS, type Sampler, type SamplerMemory } from '../sampling/sampling.js';
import type { Question } from './question.js';
import { Stopwatch } from './stopwatch.js';
import type { Step, Writing } from './writing.js';

/** What an answer's limits are. */
export interface AnswerLimits {
  context: number;
  endTokens: ReadonlySet<number>;
  sampling: SamplerMemory;
  /** With what an encoder-decoder begins its answer. */
  start?: number;
}

/** An answer as it is generated, token by token. */
export class Answer implements Writing {
  readonly width = 1;
  readonly lines: readonly [number[]];
  watch!: Stopwatch;
  alone = true;
  /** Sum of log-probabilities, where they were asked for. */
  logprob?: number;
  private readonly tokens: number[];
  private readonly sampler: Sampler;
  private readonly seen: Set<number>;
  private readonly most: number;

  constructor(
    readonly question: Question,
    private readonly limits: AnswerLimits,
  ) {
    const { prompt, options } = question;
    this.tokens = limits.start === undefined ? [...prompt] : [limits.start];
    this.lines = [this.tokens];
    this.seen = new Set(this.tokens);
    this.sampler = createSampler(options, limits.sampling);
    const { maxTokens = GENERATE_DEFAULTS.maxTokens } = options;
    this.most = Math.min(maxTokens, limits.context - this.tokens.length + 1);
  }

  get expected(): boolean | undefined {
    return this.question.options.expected;
  }

  get seed(): number {
    return this.sampler.seed;
  }

  begin(): void {
    this.watch = new Stopwatch(this.question.prompt.length);
  }

  next(logits: Float32Array): Step {
    const finish = this.choose(logits);
    return finish && { finish };
  }

  /** Chooses the next token. @returns why the answer ends; undefined where it goes on */
  private choose(logits: Float32Array): Report['finish'] | undefined {
    const { options, onToken, mask } = this.question;
    const { watch } = this;
    checkFinite(logits);
    const top = options.logprobs ? topLogprobs(logits, options.logprobs) : undefined;
    const token = this.sampler.sample(logits, this.seen, mask?.());
    watch.token();
    const logprob = top && logprobOf(logits, token);
    if (logprob !== undefined) this.logprob = (this.logprob ?? 0) + logprob;
    if (this.limits.endTokens.has(token) && !options.ignoreEnd) return 'end';
    this.tokens.push(token);
    this.seen.add(token);
    if (onToken(token, top, logprob)) return 'stop';
    return watch.generated === this.most ? 'length' : undefined;
  }
}
