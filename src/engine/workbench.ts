import { type CopyRates, copyRates } from '../devices/link.js';
import { firstExchange } from '../experts/exchange.js';
import type { Caching } from '../experts/experts.js';
import type { Costs, Policy } from '../experts/policy.js';
import type { OnSpan } from '../experts/spans.js';
import type { Statistics } from '../experts/statistics.js';
import { expertTotals } from '../loading/blueprint.js';
import type { Hardware } from '../loading/machine.js';
import { attended, encode, forward } from '../network/forward.js';
import type { OnRouted } from '../network/routes.js';
import type { OnChosen } from '../network/stack.js';
import type { Expected } from '../report.js';
import { Session } from './session.js';

/** A session of which benchmarks and comparisons see the parts: policies are exchanged, and pieces of its work repeated. */
export class Workbench extends Session {
  /** Decides by another policy and other costs from now on; for comparisons within one load. */
  use(policy: Policy, costs?: Costs, caching?: Caching): void {
    this.parts.experts.use(policy, caching);
    if (costs) this.parts.experts.costs.set(costs, false);
    this.info.policy = policy.name;
  }

  /** The next prompts are computed from their first tokens on. */
  forgetSequences(): void {
    this.batching.forget();
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
    if (accelerator.unified) return undefined;
    return this.calls.run(() => copyRates(accelerator, hostMemory.type, cpu.bufferType));
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

  /** Tokens a second, in sum, of so many sequences that decode at once behind `past` tokens each, where rates are known. */
  expectedTogether(sequences: number, past: number): number | undefined {
    return this.expectation.together(sequences, past);
  }

  /**
   * Computes `tokens` behind `past` made-up ones, and the logits after the last: the work of a call without what came
   * before it. The KV cache holds nothing of use afterwards.
   * @param into room for the logits
   */
  step(tokens: readonly number[], past: number, into?: Float32Array): Float32Array {
    const { network, sizes } = this.parts;
    this.batching.forget();
    return this.calls.run(() => {
      this.compute(tokens, past, 0);
      return network.head.logits([(tokens.length - 1) % sizes.chunk], into);
    });
  }

  /**
   * Computes what a sequence, by its place in the KV cache, has behind `past` tokens: what it then decodes attends to that.
   * Nothing where an encoder reads what is before.
   */
  fill(tokens: readonly number[], past: number, slot: number): void {
    if (this.parts.blueprint.spec.encoder) return;
    this.batching.forget();
    this.calls.run(() => this.compute(tokens, past, slot));
  }

  private compute(tokens: readonly number[], past: number, slot: number): void {
    const { network, experts, sizes, rebalancer } = this.parts;
    if (past === 0) network.kept.begin(slot, 0, tokens.length);
    for (let from = 0; from < tokens.length; from += sizes.chunk) {
      const before = tokens.slice(Math.max(0, from - network.before), from);
      const call = network.madeUp(tokens.slice(from, from + sizes.chunk), past + from, slot, before);
      forward(network.decoder, experts, call, () => false);
      rebalancer?.afterCall(call[0]!.tokens.length);
    }
  }

  /**
   * Computes the next token of as many sequences as there are `tokens`, each behind `past` made-up ones, in one call, and
   * the logits [sequences, vocabulary] after them.
   */
  stepTogether(tokens: readonly number[], past: number): Float32Array {
    const { network, experts, rebalancer } = this.parts;
    this.batching.forget();
    return this.calls.run(() => {
      const call = tokens.flatMap((token, slot) => network.madeUp([token], past, slot));
      forward(network.decoder, experts, call, () => false);
      rebalancer?.afterCall(tokens.length);
      const { vocabulary } = this.info;
      const all = new Float32Array(tokens.length * vocabulary);
      network.head.each([...tokens.keys()], (logits, i) => all.set(logits, i * vocabulary));
      return all;
    });
  }

  /**
   * The work of as many calls as a prompt of these tokens takes; where an encoder reads it, with that of the start token.
   * @param into room for the logits
   */
  prefill(tokens: readonly number[], past: number, into?: Float32Array): Float32Array {
    const { network, experts, blueprint } = this.parts;
    const { encoder } = blueprint.spec;
    if (!encoder) return this.step(tokens, past, into);
    return this.calls.run(() => {
      encode(network, experts, tokens, 0, () => false);
      return this.step([encoder.start], 0, into);
    });
  }

  /** The work of a call but for its routed experts. @returns how many layers that were */
  stepWithoutExperts(tokens: readonly number[], past: number): number {
    this.batching.forget();
    const { decoder } = this.parts.network;
    this.calls.run(() => {
      const shape = decoder.begin(this.parts.network.madeUp(tokens, past));
      for (const l of decoder.layers.keys()) attended(decoder, l, shape);
    });
    return decoder.layers.length;
  }

  /** Tells what each layer's router is asked and answers from now on; for comparisons. */
  observeRouters(onRouted?: OnRouted): void {
    this.parts.network.onRouted = onRouted;
  }

  /** Tells by what each layer's indexer chooses from now on; for comparisons. */
  observeIndexers(onChosen?: OnChosen): void {
    this.parts.network.onChosen = onChosen;
  }

  /** Repeats the experts of the last layer, all lanes at once. @returns milliseconds */
  replayExperts(): number {
    return this.calls.run(() => this.parts.experts.replay());
  }

  /** Repeats the experts of the last layer piece by piece. */
  recordExperts(onSpan: OnSpan): void {
    this.calls.run(() => this.parts.experts.record(onSpan));
  }

  /** Exchanges a layer's first resident and first missing expert, as rebalancing does. @returns false where it lacks either */
  exchangeExperts(layer: number): boolean {
    const { experts } = this.parts;
    const exchange = firstExchange(layer, experts.resident);
    if (!exchange) return false;
    this.calls.run(() => experts.exchanges.run(exchange));
    return true;
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
