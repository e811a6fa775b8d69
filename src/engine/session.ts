import { processMemory } from '../devices/process-memory.js';
import { FiddlerError } from '../errors.js';
import { type Profile, type ProfiledModel, profileOf } from '../experts/profile.js';
import type { Rebalancer } from '../experts/rebalance.js';
import { layersOf } from '../models/model.js';
import type { Engine } from './engine.js';
import { Expectation } from './expectation.js';
import { encode } from './forward.js';
import type { Layout } from './layout.js';
import { checkFinite, logprobOf, topLogprobs } from './logprobs.js';
import { LOGIT_ROWS } from './network.js';
import type { GenerateOptions, ModelInfo, Report, ScoredToken, TokenLogprob } from './options.js';
import { readTexts } from './profiling.js';
import type { Rates } from './rates.js';
import { createSampler, GENERATE_DEFAULTS } from './sampling.js';
import { Sequence } from './sequence.js';
import { Stopwatch } from './stopwatch.js';
import { warmUp } from './warm-up.js';

export interface SessionParts extends Omit<Layout, 'checkpoint' | 'parameters' | 'host'> {
  /** What names the model in its profile. */
  profiled: ProfiledModel;
  rebalancer?: Rebalancer;
  /** What the model's pieces take here, where that is known; `disproved` is told where it is faster. */
  rates?: Rates;
  disproved?: () => void;
  /** Seconds that loading took. */
  seconds: number;
  ram: Pick<ModelInfo['memory'], 'ram' | 'taken' | 'planned'>;
}

/** A loaded model with its KV cache: continues and scores token sequences. */
export class Session implements Engine {
  readonly info: ModelInfo;
  readonly endTokens: ReadonlySet<number>;
  protected readonly sequence: Sequence;
  protected readonly expectation: Expectation;

  constructor(protected readonly parts: SessionParts) {
    const { blueprint, machine, policy, experts, sizes, profile, profiled } = parts;
    this.sequence = new Sequence(parts);
    this.expectation = new Expectation(parts, parts.rates, parts.disproved);
    this.endTokens = blueprint.endTokens;
    this.info = {
      name: profiled.model,
      family: blueprint.family,
      accelerator: machine.kind.name,
      policy: policy.name,
      threads: machine.threads,
      kernels: experts.kernels,
      vocabulary: blueprint.spec.vocabulary,
      context: sizes.context,
      architecture: blueprint.spec.encoder ? 'encoder-decoder' : 'decoder',
      layers: layersOf(blueprint.spec).length,
      experts: {
        resident: experts.resident.count,
        total: blueprint.expertLayers.reduce((sum, l) => sum + l.count, 0),
        profiled: profile?.tokens ?? 0,
      },
      memory: { accelerator: machine.accelerator === machine.cpu ? 0 : machine.accelerator.bytes, ...parts.ram },
      loadSeconds: parts.seconds,
    };
  }

  warmUp(): void {
    const begin = performance.now();
    warmUp(this.parts);
    this.info.loadSeconds += (performance.now() - begin) / 1000;
  }

  generate(
    prompt: readonly number[],
    options: GenerateOptions,
    onToken: (token: number, top?: TokenLogprob[]) => boolean,
    cancelled: () => boolean,
  ): Report {
    this.checkTokens(prompt);
    const watch = new Stopwatch(prompt.length);
    const { encoder } = this.parts.blueprint.spec;
    const tokens = encoder ? [encoder.start] : [...prompt];
    const most = Math.min(options.maxTokens ?? GENERATE_DEFAULTS.maxTokens, this.info.context - tokens.length + 1);
    const sampler = createSampler(options);
    const seen = new Set(tokens);
    this.parts.experts.statistics.reset();
    watch.cachedTokens = this.sequence.reuse(prompt);
    const read = !encoder || this.sequence.encode(prompt, cancelled);
    let logits = read ? this.sequence.extend(tokens, cancelled) : undefined;
    let finish: Report['finish'] = logits ? 'length' : 'aborted';
    while (logits && watch.generated < most) {
      checkFinite(logits);
      const top = options.logprobs ? topLogprobs(logits, options.logprobs) : undefined;
      const token = sampler.sample(logits, seen);
      watch.token();
      if (this.endTokens.has(token)) {
        finish = 'end';
        break;
      }
      tokens.push(token);
      seen.add(token);
      if (onToken(token, top)) {
        finish = 'stop';
        break;
      }
      if (watch.generated === most) break;
      logits = this.sequence.extend(tokens, cancelled);
      if (!logits) finish = 'aborted';
    }
    const report = this.report(watch, finish, sampler.seed);
    this.expectation.note(report);
    return options.expected ? { ...report, expected: this.expectation.ofGeneration(report) } : report;
  }

  score(
    tokens: readonly number[],
    logprobs: number,
    onToken: (scored: ScoredToken) => void,
    cancelled: () => boolean,
  ): Report {
    if (this.parts.blueprint.spec.encoder) refuseScoring(this.info.name);
    this.checkTokens(tokens);
    const watch = new Stopwatch(tokens.length);
    this.parts.experts.statistics.reset();
    onToken({ position: 0, token: tokens[0]! });
    const finished = this.evaluate(tokens, cancelled, (position, logits) => {
      checkFinite(logits);
      const token = tokens[position + 1];
      if (token === undefined) return;
      const top = logprobs > 0 ? topLogprobs(logits, logprobs) : undefined;
      onToken({ position: position + 1, token, logprob: logprobOf(logits, token), top });
    });
    watch.prefilled();
    return this.report(watch, finished ? 'length' : 'aborted');
  }

  /**
   * Computes `tokens` from an empty KV cache and gives the logits [vocabulary] after each.
   * @param source what an encoder reads before; it is read again for the next prompt, whatever that is
   * @returns false where it was cancelled
   */
  evaluate(
    tokens: readonly number[],
    cancelled: () => boolean,
    onLogits: (position: number, logits: Float32Array) => void,
    source?: readonly number[],
  ): boolean {
    const { network, experts } = this.parts;
    const { vocabulary } = this.info;
    this.sequence.forget();
    if (source && !encode(network, experts, source, cancelled)) return false;
    return this.sequence.compute(tokens, cancelled, (first, count) => {
      for (let from = 0; from < count; from += LOGIT_ROWS) {
        const rows = Array.from({ length: Math.min(LOGIT_ROWS, count - from) }, (_, i) => from + i);
        const logits = network.logits(rows);
        for (const [i, row] of rows.entries()) {
          onLogits(first + row, logits.subarray(i * vocabulary, (i + 1) * vocabulary));
        }
      }
    });
  }

  profile(
    texts: readonly (readonly number[])[],
    onProgress: (done: number, total: number) => void,
    cancelled: () => boolean,
  ): Profile | undefined {
    const { experts, blueprint, profiled } = this.parts;
    const { encoder } = blueprint.spec;
    const { popularity } = experts.statistics;
    const before = popularity.map((layer) => layer.slice());
    const read = (tokens: readonly number[]) => {
      this.checkTokens(tokens);
      this.sequence.forget();
      if (!encoder) return this.sequence.compute(tokens, cancelled);
      const answer = [encoder.start, ...tokens.slice(0, -1)];
      return this.sequence.encode(tokens, cancelled) && this.sequence.compute(answer, cancelled);
    };
    if (!readTexts(texts, this.info.context, read, onProgress)) return undefined;
    const counts = popularity.map((layer, l) => layer.map((n, e) => n - before[l]![e]!));
    return profileOf(profiled, blueprint.expertLayers, counts);
  }

  private checkTokens(tokens: readonly number[]): void {
    const { vocabulary, context } = this.info;
    if (tokens.length === 0) throw new FiddlerError('usage', 'the prompt has no tokens', 'give some text');
    if (tokens.length > context) {
      const problem = `the prompt has ${tokens.length} tokens, but the context holds ${context}`;
      throw new FiddlerError('context', problem, 'shorten it, or give a larger --ctx');
    }
    const wrong = tokens.find((t) => !Number.isInteger(t) || t < 0 || t >= vocabulary);
    if (wrong !== undefined) {
      const problem = `token ${wrong} is not in the vocabulary of ${vocabulary}`;
      throw new FiddlerError('usage', problem, `use ids from 0 to ${vocabulary - 1}`);
    }
  }

  private report(watch: Stopwatch, finish: Report['finish'], seed?: number): Report {
    const { statistics } = this.parts.experts;
    const { name, accelerator, policy, threads, kernels, experts, memory } = this.info;
    return {
      model: name,
      accelerator,
      policy,
      threads,
      kernels,
      seed,
      finish,
      ...watch.times(),
      experts: { ...experts, hitRate: statistics.hitRate, exchanged: statistics.exchanges },
      lanes: statistics.lanes,
      cache: { ...statistics.cache },
      memory: { ...memory, peakRss: processMemory().peak },
    };
  }

  close(): void {
    this.parts.experts.wait();
    this.expectation.conclude();
    this.parts.close();
  }
}

/** @throws FiddlerError `unsupported` */
function refuseScoring(model: string): never {
  throw new FiddlerError(
    'unsupported',
    `${model} is an encoder-decoder: it says how likely an answer is to a text, not how likely a text is`,
    'score with a decoder-only model',
  );
}
