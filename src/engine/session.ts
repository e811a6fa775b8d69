import { processMemory } from '../devices/process-memory.js';
import { FiddlerError } from '../errors.js';
import { type Profile, profileOf } from '../experts/profile.js';
import { Statistics } from '../experts/statistics.js';
import type { GenerateOptions } from '../options.js';
import { Expectation } from '../pace/expectation.js';
import { warmUp } from '../pace/warm-up.js';
import type { Activity, ModelInfo, Report, ScoredToken } from '../report.js';
import { checkFinite, logprobOf, topLogprobs } from '../sampling/logprobs.js';
import { SamplerMemory } from '../sampling/sampling.js';
import { Answer, type AnswerLimits } from './answer.js';
import { Batching } from './batching.js';
import { BeamAnswer } from './beams.js';
import { ModelCalls } from './calls.js';
import { checkBeams, checkPrompt, checkScoring, checkVocabulary } from './checks.js';
import type { Engine, Outcome } from './engine.js';
import { infoOf, type SessionParts } from './parts.js';
import { checkTexts, countChosen } from './profiling.js';
import type { NextMask, OnToken, Question } from './question.js';
import type { Sequence } from './sequence.js';
import { Stopwatch } from './stopwatch.js';
import type { Writing } from './writing.js';

/** What a report says of an answer beside its times. */
type Chosen = Pick<Writing, 'seed' | 'logprob'>;

/** Of what was dropped before its turn. */
const NOTHING = new Statistics([]);

/** A loaded model with its KV cache: continues and scores token sequences. */
export class Session implements Engine {
  readonly info: ModelInfo;
  readonly endTokens: Set<number>;
  protected readonly batching: Batching;
  protected readonly expectation: Expectation;
  protected readonly calls: ModelCalls;
  private readonly sampling = new SamplerMemory();

  constructor(protected readonly parts: SessionParts) {
    this.calls = new ModelCalls(parts, () => this.batching.forget());
    this.batching = new Batching({
      ...parts,
      calls: this.calls,
      report: (answer, finish) => this.reportOf(answer, finish),
      reportDropped: (answer) => this.report(answer.watch, 'aborted', answer, NOTHING),
    });
    this.expectation = new Expectation(parts, parts.rates, parts.disproved);
    this.endTokens = new Set(parts.blueprint.endTokens);
    parts.experts.trace = parts.trace;
    this.info = infoOf(parts);
  }

  warmUp(): void {
    const begin = performance.now();
    const { experts, trace } = this.parts;
    experts.trace = undefined;
    try {
      this.calls.run(() => warmUp(this.parts));
    } finally {
      experts.trace = trace;
    }
    this.info.loadSeconds += (performance.now() - begin) / 1000;
  }

  /** As `begin` and `advance`, to the end. */
  generate(
    prompt: readonly number[],
    options: GenerateOptions,
    onToken: OnToken,
    cancelled: () => boolean,
    mask?: NextMask,
  ): Report {
    let ended: Outcome | undefined;
    this.begin({ prompt, options, onToken, cancelled, mask }, (outcome) => {
      ended = outcome;
    });
    while (!ended) this.advance();
    if ('error' in ended) throw ended.error;
    return ended.report;
  }

  begin(question: Question, onEnd: (outcome: Outcome) => void): void {
    checkPrompt(question.prompt, this.info);
    this.batching.add(new Answer(question, this.limits), onEnd);
  }

  search(...[question, onEnd]: Parameters<Engine['search']>): void {
    checkPrompt(question.prompt, this.info);
    checkBeams(question.options, this.info);
    const answer = new BeamAnswer(question, this.limits);
    this.batching.add(answer, (outcome) => onEnd(outcome, answer.found));
  }

  private get limits(): AnswerLimits {
    const { context } = this.info;
    return {
      context,
      endTokens: this.endTokens,
      sampling: this.sampling,
      start: this.parts.blueprint.spec.encoder?.start,
    };
  }

  advance(): boolean {
    return this.batching.advance();
  }

  whenFree(work: () => void, cancelled: () => boolean): void {
    this.batching.whenFree(work, cancelled);
  }

  private reportOf(answer: Writing, finish: Report['finish']): Report {
    const { watch, expected } = answer;
    if (!answer.alone) return this.reportBeside(watch, finish, answer); // what is foreseen is foreseen of one
    const report = this.report(watch, finish, answer);
    this.expectation.note(report);
    return expected ? { ...report, expected: this.expectation.ofGeneration(report) } : report;
  }

  /** Has `work` done with an empty sequence of its own. */
  protected withSequence<T>(work: (sequence: Sequence) => T): T {
    const { sequences } = this.batching;
    while (!sequences.hasFree()) this.advance();
    const sequence = sequences.take([]);
    try {
      if (this.batching.idle) this.parts.experts.statistics.reset();
      sequence.forget();
      const outcome = this.calls.run(() => this.settled(sequence, work));
      if ('error' in outcome) throw outcome.error;
      return outcome.result;
    } finally {
      sequences.give(sequence);
    }
  }

  /** Logits that are not numbers are of this sequence alone, and what others have in the KV cache stays. */
  private settled<T>(sequence: Sequence, work: (sequence: Sequence) => T): { result: T } | { error: FiddlerError } {
    try {
      return { result: work(sequence) };
    } catch (error) {
      if (!(error instanceof FiddlerError && error.code === 'numeric')) throw error;
      this.batching.clear(sequence);
      return { error };
    }
  }

  score(
    tokens: readonly number[],
    logprobs: number,
    onToken: (scored: ScoredToken) => void,
    cancelled: () => boolean,
  ): Report {
    checkScoring(this.info);
    checkPrompt(tokens, this.info);
    if (this.calls.run(cancelled)) return this.report(new Stopwatch(tokens.length), 'aborted', {}, NOTHING);
    return this.withSequence((sequence) => {
      const watch = new Stopwatch(tokens.length);
      onToken({ position: 0, token: tokens[0]! });
      const finished = this.logitsOf(sequence, tokens, cancelled, (position, logits) => {
        checkFinite(logits);
        const token = tokens[position + 1];
        if (token === undefined) return;
        const top = logprobs > 0 ? topLogprobs(logits, logprobs) : undefined;
        onToken({ position: position + 1, token, logprob: logprobOf(logits, token), top });
      });
      watch.prefilled();
      const finish = finished ? 'length' : 'aborted';
      return this.batching.idle ? this.report(watch, finish) : this.reportBeside(watch, finish);
    });
  }

  /**
   * Computes `tokens` from an empty KV cache and gives the logits [vocabulary] after each.
   * @param source what an encoder reads before
   * @returns false where it was cancelled
   */
  evaluate(
    tokens: readonly number[],
    cancelled: () => boolean,
    onLogits: (position: number, logits: Float32Array) => void,
    source?: readonly number[],
  ): boolean {
    return this.withSequence((sequence) => {
      if (source && !sequence.encode(source, cancelled)) return false;
      return this.logitsOf(sequence, tokens, cancelled, onLogits);
    });
  }

  private logitsOf(
    sequence: Sequence,
    tokens: readonly number[],
    cancelled: () => boolean,
    onLogits: (position: number, logits: Float32Array) => void,
  ): boolean {
    return sequence.compute(tokens, cancelled, (first, count) => {
      const rows = Array.from({ length: count }, (_, row) => row);
      this.parts.network.head.each(rows, (logits, row) => onLogits(first + row, logits));
    });
  }

  profile(
    texts: readonly (readonly number[])[],
    onProgress: (done: number, total: number) => void,
    cancelled: () => boolean,
  ): Profile | undefined {
    for (const text of texts) if (text.length > 0) checkVocabulary(text, this.info);
    checkTexts(texts);
    if (this.calls.run(cancelled)) return undefined;
    const { profiled, blueprint } = this.parts;
    const counts = this.withSequence((sequence) => {
      return countChosen(this.parts, sequence, texts, this.info.context, onProgress, cancelled);
    });
    return counts && profileOf(profiled, blueprint.expertLayers, counts);
  }

  /** What is counted goes to one report alone, so that reports add up. */
  private reportBeside(watch: Stopwatch, finish: Report['finish'], chosen: Chosen = {}): Report {
    const report = this.report(watch, finish, chosen);
    this.parts.experts.statistics.reset();
    return report;
  }

  private report(
    watch: Stopwatch,
    finish: Report['finish'],
    { seed, logprob }: Chosen = {},
    statistics = this.parts.experts.statistics,
  ): Report {
    const { name, accelerator, policy, threads, kernels, experts, memory } = this.info;
    // A literal that begins with a spread leaves a hidden class behind each time, until a full garbage collection.
    return {
      model: name,
      accelerator,
      policy,
      threads,
      kernels,
      seed,
      finish,
      ...watch.times(),
      ...(logprob !== undefined && { logprob }),
      experts: { hitRate: statistics.hitRate, exchanged: statistics.exchanges, ...experts },
      lanes: statistics.lanes,
      cache: Object.assign({}, statistics.cache),
      memory: { peakRss: processMemory().peak, ...memory },
    };
  }

  get activity(): Activity {
    const cachedTokens = this.batching.sequences.all.reduce((sum, { length }) => sum + length, 0);
    return { cachedTokens, ...this.parts.experts.statistics.total };
  }

  close(): void {
    try {
      this.expectation.conclude();
      this.parts.learn?.();
    } finally {
      try {
        this.parts.trace?.close();
      } finally {
        this.calls.close();
      }
    }
  }
}
