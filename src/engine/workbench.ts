import { type CopyRates, copyRates } from '../devices/link.js';
import type { Caching } from '../experts/experts.js';
import type { Costs, Policy } from '../experts/policy.js';
import type { OnSpan } from '../experts/spans.js';
import type { Statistics } from '../experts/statistics.js';
import { expertTotals } from './blueprint.js';
import { encode } from './forward.js';
import type { Hardware } from './machine.js';
import type { Expected } from './options.js';
import type { OnRouted } from './routes.js';
import { Session } from './session.js';

/** A session of which benchmarks and comparisons see the parts: policies are exchanged, and pieces of its work repeated. */
export class Workbench extends Session {
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

  /** What a prompt of `prompt` tokens, and decoding behind `past`, should take; undefined where rates are not known. */
  expected(prompt: number, past: number): Expected | undefined {
    return this.expectation.of(prompt, past);
  }

  /**
   * Computes `tokens` behind `past` made-up ones, and the logits after the last: the work of a call without what came
   * before it. The KV cache holds nothing of use afterwards.
   */
  step(tokens: readonly number[], past: number): Float32Array {
    return this.sequence.computeBehind(tokens, past);
  }

  /** The work of as many calls as a prompt of these tokens takes; where an encoder reads it, with that of the start token. */
  prefill(tokens: readonly number[], past: number): Float32Array {
    const { network, experts, blueprint } = this.parts;
    const { encoder } = blueprint.spec;
    if (!encoder) return this.step(tokens, past);
    encode(network, experts, tokens, () => false);
    return this.step([encoder.start], 0);
  }

  /** The work of a call but for its routed experts. @returns how many layers that were */
  stepWithoutExperts(tokens: readonly number[], past: number): number {
    this.sequence.forget();
    const decoder = this.parts.network.pretend(past);
    const shape = decoder.begin(tokens, past);
    for (const l of decoder.layers.keys()) decoder.attend(l, shape);
    return decoder.layers.length;
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
}
