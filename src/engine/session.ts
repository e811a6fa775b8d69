import { type CopyRates, copyRates } from '../devices/link.js';
import { processMemory } from '../devices/process-memory.js';
import { FiddlerError } from '../errors.js';
import type { Caching } from '../experts/experts.js';
import type { Costs, Policy } from '../experts/policy.js';
import { type Profile, type ProfiledModel, profileOf } from '../experts/profile.js';
import type { Rebalancer } from '../experts/rebalance.js';
import type { OnSpan } from '../experts/spans.js';
import type { Statistics } from '../experts/statistics.js';
import { layersOf } from '../models/model.js';
import { expertTotals } from './blueprint.js';
import type { Engine } from './engine.js';
import { encode, forward } from './forward.js';
import type { Layout } from './layout.js';
import { checkFinite, logprobOf, topLogprobs } from './logprobs.js';
import type { Hardware } from './machine.js';
import { LOGIT_ROWS } from './network.js';
import type { Expected, GenerateOptions, ModelInfo, Report, ScoredToken, TokenLogprob } from './options.js';
import { readTexts } from './profiling.js';
import type { Rates } from './rates.js';
import type { OnRouted } from './routes.js';
import { createSampler, GENERATE_DEFAULTS } from './sampling.js';
import { expect, scenarioOf } from './scenario.js';
import type { Stack } from './stack.js';
import { Stopwatch } from './stopwatch.js';

/** As many times the predicted rate, over at least so many tokens, disprove a prediction. */
const DISPROVED = 1.5;
const LEAST_TOKENS = 16;
const never = () => false;

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
  /** The tokens whose keys and values are in the KV cache. */
  private cached: number[] = [];
  /** The prompt that the encoder read, where there is one: cross-attention has its keys and values. */
  private encoded: readonly number[] = [];

  /** Decides by another policy and other costs from now on; for comparisons within one load. */
  use(policy: Policy, costs?: Costs, caching?: Caching): void {
    this.parts.experts.use(policy, caching);
    if (costs) this.parts.experts.costs.set(costs, false);
    this.info.policy = policy.name;
  }

  /** What this runs on. */
  get hardware(): Hardware {
    return this.parts.machine.hardware;
  }

  /** There is a cache of streamed experts. */
  get caches(): boolean {
    return this.parts.sizes.cached > 0;
  }

  /** Bytes a second of copies to the accelerator; undefined where it computes in the host's memory. */
  measureCopies(): CopyRates | undefined {
    const { accelerator, hostMemory, cpu } = this.parts.machine;
    return accelerator.unified ? undefined : copyRates(accelerator, hostMemory.type, cpu.bufferType);
  }

  /** Bytes of the largest expert in the computed type. */
  get expertBytes(): number {
    return expertTotals(this.parts.blueprint).bytes;
  }

  /** The costs by which policies decide. */
  get costs(): Costs {
    return this.parts.experts.costs.measured;
  }

  /**
   * Computes `tokens` behind `past` made-up ones, and the logits after the last: the work of a call without what came
   * before it. The KV cache holds nothing of use afterwards.
   */
  step(tokens: readonly number[], past: number): Float32Array {
    const { network, experts } = this.parts;
    forward(this.pretend(past), experts, tokens, past, never);
    return network.logits([tokens.length - 1]);
  }

  /** What a prompt of `prompt` tokens, and decoding behind `past`, should take; undefined where rates are not known. */
  expected(prompt: number, past: number): Expected | undefined {
    const { rates } = this.parts;
    return rates && expect(scenarioOf(this.parts, rates), prompt, past);
  }

  /** The work of as many calls as a prompt of these tokens takes; where an encoder reads it, with that of the start token. */
  prefill(tokens: readonly number[], past: number): Float32Array {
    const { network, experts, sizes, blueprint } = this.parts;
    const { encoder } = blueprint.spec;
    if (encoder) {
      encode(network, experts, tokens, never);
      return this.step([encoder.start], 0);
    }
    const last = Math.floor((tokens.length - 1) / sizes.chunk) * sizes.chunk;
    for (let from = 0; from < last; from += sizes.chunk) {
      forward(network.decoder, experts, tokens.slice(from, from + sizes.chunk), past + from, never);
    }
    return this.step(tokens.slice(last), past + last);
  }

  /** The work of a call but for its routed experts. @returns how many layers that were */
  stepWithoutExperts(tokens: readonly number[], past: number): number {
    const decoder = this.pretend(past);
    const shape = decoder.begin(tokens, past);
    for (const l of decoder.layers.keys()) decoder.attend(l, shape);
    return decoder.layers.length;
  }

  /** The decoder behind `past` made-up tokens; what was computed before is of no use afterwards. */
  private pretend(past: number): Stack {
    this.cached = [];
    this.encoded = [];
    return this.parts.network.pretend(past);
  }

  /** Tells what each layer's router is asked and answers from now on; for comparisons. */
  observeRouters(onRouted?: OnRouted): void {
    this.parts.network.onRouted = onRouted;
  }

  /** Repeats the experts of the last layer, all lanes at once. @returns milliseconds */
  replayExperts(): number {
    return this.parts.experts.replay();
  }

  /** Repeats the experts of the last layer piece by piece. */
  recordExperts(onSpan: OnSpan): void {
    this.parts.experts.record(onSpan);
  }

  /** What the lanes did since the last call of `generate`, `score` or `resetStatistics`. */
  get lanes(): Statistics['lanes'] {
    return this.parts.experts.statistics.lanes;
  }

  /** What the cache of streamed experts did in that time. */
  get cache(): Statistics['cache'] {
    return this.parts.experts.statistics.cache;
  }

  resetStatistics(): void {
    this.parts.experts.statistics.reset();
  }

  /** How often each expert was chosen since loading. */
  get usage(): Pick<Statistics, 'popularity' | 'executions'> {
    return this.parts.experts.statistics;
  }

  constructor(private readonly parts: SessionParts) {
    const { blueprint, machine, policy, experts, sizes, profile, profiled } = parts;
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
    watch.cachedTokens = encoder ? this.reuseEncoded(prompt) : this.reuse(prompt);
    let logits = !encoder || this.encode(prompt, cancelled) ? this.extend(tokens, cancelled) : undefined;
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
      logits = this.extend(tokens, cancelled);
      if (!logits) finish = 'aborted';
    }
    const report = this.report(watch, finish, sampler.seed);
    const { promptTokens, cachedTokens, generatedTokens } = report;
    const past = promptTokens + (generatedTokens >> 1);
    const expected = this.expected(promptTokens - cachedTokens, past);
    // Slower may be what else the machine does; so much faster means that it was busy when the rates were measured.
    const faster = expected && report.decodeRate > DISPROVED * expected.decodeRate.value;
    if (faster && generatedTokens >= LEAST_TOKENS) this.parts.disproved?.();
    return { ...report, expected };
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
    this.cached = [];
    this.encoded = [];
    if (source && !encode(network, experts, source, cancelled)) return false;
    return this.compute(tokens, cancelled, (first, count) => {
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
      this.cached = [];
      this.encoded = [];
      if (!encoder) return this.compute(tokens, cancelled, () => {});
      return (
        this.encode(tokens, cancelled) && this.compute([encoder.start, ...tokens.slice(0, -1)], cancelled, () => {})
      );
    };
    if (!readTexts(texts, this.info.context, read, onProgress)) return undefined;
    const counts = popularity.map((layer, l) => layer.map((n, e) => n - before[l]![e]!));
    return profileOf(profiled, blueprint.expertLayers, counts);
  }

  /** Keeps what the KV cache has of the prompt; gives how many of its tokens need not be computed. */
  private reuse(prompt: readonly number[]): number {
    this.resize(prompt.length);
    if (this.parts.sizes.wholePrompts) this.cached = [];
    let same = 0;
    while (same < this.cached.length && this.cached[same] === prompt[same]) same++;
    // The last token is always computed: its logits are what generation starts from.
    this.cached.length = Math.min(same, prompt.length - 1);
    return this.cached.length;
  }

  /** As `reuse` for a prompt that the encoder reads: all of it or nothing, and of the answer nothing. */
  private reuseEncoded(prompt: readonly number[]): number {
    this.cached = [];
    const same = this.encoded.length === prompt.length && this.encoded.every((token, i) => token === prompt[i]);
    if (!same) this.encoded = [];
    return this.encoded.length;
  }

  /** Has the encoder read the prompt unless it just did. @returns false where it was cancelled */
  private encode(prompt: readonly number[], cancelled: () => boolean): boolean {
    if (this.encoded.length > 0) return true;
    const { network, experts, rebalancer } = this.parts;
    if (!encode(network, experts, prompt, cancelled)) return false;
    this.encoded = [...prompt];
    rebalancer?.afterCall(prompt.length);
    return true;
  }

  /** Drops the KV cache where a sequence of this many tokens is computed otherwise than the one before. */
  private resize(length: number): void {
    if (this.parts.network.decoder.resize(length)) this.cached = [];
  }

  /** Computes the tokens that are not in the KV cache yet; gives the logits after the last, or undefined where cancelled. */
  private extend(tokens: readonly number[], cancelled: () => boolean): Float32Array | undefined {
    let last = 0;
    const finished = this.compute(tokens, cancelled, (_, count) => {
      last = count - 1;
    });
    return finished ? this.parts.network.logits([last]) : undefined;
  }

  /** Computes tokens behind the cached ones, a chunk a call. */
  private compute(
    tokens: readonly number[],
    cancelled: () => boolean,
    onChunk: (first: number, count: number) => void,
  ): boolean {
    const { network, experts, sizes, rebalancer } = this.parts;
    this.resize(tokens.length);
    while (this.cached.length < tokens.length) {
      const past = this.cached.length;
      const chunk = tokens.slice(past, past + sizes.chunk);
      if (!forward(network.decoder, experts, chunk, past, cancelled)) return false;
      this.cached.push(...chunk);
      onChunk(past, chunk.length);
      rebalancer?.afterCall(chunk.length);
    }
    return true;
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
