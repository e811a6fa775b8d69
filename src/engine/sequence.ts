import type { Experts } from '../experts/experts.js';
import type { Rebalancer } from '../experts/rebalance.js';
import type { Blueprint } from './blueprint.js';
import { encode, forward } from './forward.js';
import type { Network } from './network.js';
import type { Sizes } from './sizes.js';

export interface SequenceParts {
  network: Network;
  experts: Experts;
  sizes: Sizes;
  blueprint: Blueprint;
  rebalancer?: Rebalancer;
}

/** The tokens whose keys and values are in the KV cache, and calls of the model that compute more behind them. */
export class Sequence {
  private cached: number[] = [];
  /** The prompt that the encoder read, where there is one: cross-attention has its keys and values. */
  private encoded: readonly number[] = [];
  /** [vocabulary]: a new one for each token would be garbage that V8 lets grow. */
  private readonly logits: Float32Array;

  constructor(private readonly parts: SequenceParts) {
    this.logits = new Float32Array(parts.blueprint.spec.vocabulary);
  }

  /** What the KV cache has is of no use any more. */
  forget(): void {
    this.cached = [];
    this.encoded = [];
  }

  /** Keeps what is there of a prompt; gives how many of its tokens need not be computed. */
  reuse(prompt: readonly number[]): number {
    return this.parts.blueprint.spec.encoder ? this.reuseEncoded(prompt) : this.reuseCached(prompt);
  }

  private reuseCached(prompt: readonly number[]): number {
    this.resize(prompt.length);
    if (this.parts.sizes.wholePrompts) this.cached = [];
    let same = 0;
    while (same < this.cached.length && this.cached[same] === prompt[same]) same++;
    // The last token is always computed: its logits are what generation starts from.
    this.cached.length = Math.min(same, prompt.length - 1);
    return this.cached.length;
  }

  /** Of a prompt that the encoder reads all or nothing is kept, and of the answer nothing. */
  private reuseEncoded(prompt: readonly number[]): number {
    this.cached = [];
    const same = this.encoded.length === prompt.length && this.encoded.every((token, i) => token === prompt[i]);
    if (!same) this.encoded = [];
    return this.encoded.length;
  }

  /** Has the encoder read the prompt unless it just did. @returns false where it was cancelled */
  encode(prompt: readonly number[], cancelled: () => boolean): boolean {
    if (this.encoded.length > 0) return true;
    const { network, experts, rebalancer } = this.parts;
    if (!encode(network, experts, prompt, cancelled)) return false;
    this.encoded = [...prompt];
    rebalancer?.afterCall(prompt.length);
    return true;
  }

  /** Computes the tokens that are not in the KV cache yet; gives the logits after the last, until it is called again, or undefined where cancelled. */
  extend(tokens: readonly number[], cancelled: () => boolean): Float32Array | undefined {
    let last = 0;
    const finished = this.compute(tokens, cancelled, (_, count) => {
      last = count - 1;
    });
    return finished ? this.parts.network.logits([last], this.logits) : undefined;
  }

  /**
   * Computes the tokens that are not in the KV cache yet.
   * @param onChunk told after each call how many tokens are before its own, and the number of those
   * @returns false where it was cancelled
   */
  compute(
    tokens: readonly number[],
    cancelled: () => boolean,
    onChunk: (first: number, count: number) => void = () => {},
  ): boolean {
    this.resize(tokens.length);
    const past = this.cached.length;
    return this.calls(tokens.slice(past), past, cancelled, (first, chunk) => {
      this.cached.push(...chunk);
      onChunk(first, chunk.length);
    });
  }

  /** Computes `tokens` behind `past` made-up ones; gives the logits after the last. Nothing in the KV cache is of use afterwards. */
  computeBehind(tokens: readonly number[], past: number): Float32Array {
    const { network, sizes } = this.parts;
    this.forget();
    network.pretend(past);
    this.calls(tokens, past, () => false);
    return network.logits([(tokens.length - 1) % sizes.chunk]);
  }

  /** Computes tokens behind `past` others, a chunk a call. */
  private calls(
    tokens: readonly number[],
    past: number,
    cancelled: () => boolean,
    onChunk: (first: number, chunk: readonly number[]) => void = () => {},
  ): boolean {
    const { network, experts, sizes, rebalancer } = this.parts;
    for (let from = 0; from < tokens.length; from += sizes.chunk) {
      const chunk = tokens.slice(from, from + sizes.chunk);
      if (!forward(network.decoder, experts, chunk, past + from, cancelled)) return false;
      onChunk(past + from, chunk);
      rebalancer?.afterCall(chunk.length);
    }
    return true;
  }

  /** Drops the KV cache where a sequence of this many tokens is computed otherwise than the one before. */
  private resize(length: number): void {
    if (this.parts.network.decoder.resize(length)) this.cached = [];
  }
}
