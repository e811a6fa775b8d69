import type { Experts } from '../experts/experts.js';
import type { Rebalancer } from '../experts/rebalance.js';
import type { Blueprint } from '../loading/blueprint.js';
import type { Sizes } from '../loading/sizes.js';
import type { Part } from '../network/batch.js';
import { encode, forward } from '../network/forward.js';
import type { Network } from '../network/network.js';
import { turnsOf, turnsWith } from './turns.js';

export interface SequenceParts {
  network: Network;
  experts: Experts;
  sizes: Sizes;
  blueprint: Blueprint;
  rebalancer?: Rebalancer;
}

/** What the encoder has read where it has read nothing. */
const UNREAD: readonly number[] = [];

/** One of the KV cache's extents: the tokens whose keys and values are there, and what is computed behind them. */
export class Sequence {
  private cached: number[] = [];
  /** The prompt that the encoder read, where there is one: cross-attention has its keys and values. */
  private encoded = UNREAD;
  private extended = false;
  /** Positions to which the sequence may come back: a part ends there. */
  private marks: readonly number[] = [];

  constructor(
    private readonly parts: SequenceParts,
    readonly slot: number,
  ) {}

  /** What the KV cache has is of no use any more. */
  forget(): void {
    this.cached = [];
    this.encoded = UNREAD;
    this.marks = [];
    this.parts.network.kept.forget(this.slot);
  }

  /** Tokens that are in the KV cache. */
  get length(): number {
    return this.cached.length;
  }

  /** Tokens of a prompt that need not be computed with what is here. */
  served(prompt: readonly number[]): number {
    const { network, blueprint } = this.parts;
    if (blueprint.spec.encoder) return this.hasRead(prompt) ? prompt.length : 0;
    return network.kept.resumable(this.slot, this.shared(prompt));
  }

  /** Tokens with which both this sequence and a prompt begin, as far as they are computed alike. */
  shared(prompt: readonly number[]): number {
    const { network, sizes } = this.parts;
    if (sizes.wholePrompts || network.decoder.extends(prompt.length) !== this.extended) return 0;
    // The last token is always computed: its logits are what generation starts from.
    return Math.min(commonLength(this.cached, prompt), Math.max(0, prompt.length - 1));
  }

  /** Tokens of a prompt that could be served once all of `tokens`, with which this sequence goes on, are computed. */
  willServe(prompt: readonly number[], tokens: readonly number[]): number {
    if (this.parts.network.decoder.extends(prompt.length) !== this.extended) return 0;
    return Math.min(commonLength(tokens, prompt), prompt.length - 1);
  }

  /** Another begins with the first `shared` of the `length` tokens with which this sequence goes on, and waits for them. */
  markTurn(shared: number, length: number): void {
    if (this.parts.network.kept.marked) this.marks = turnsWith(this.marks, shared, this.length, length);
  }

  private hasRead(prompt: readonly number[]): boolean {
    const { encoded } = this;
    return encoded.length === prompt.length && encoded.every((token, i) => token === prompt[i]);
  }

  /**
   * Keeps what is there of a prompt.
   * @param shared with how many of its tokens some sequence begins
   * @returns how many of its tokens need not be computed
   */
  reuse(prompt: readonly number[], shared: number): number {
    const served = this.served(prompt);
    const { blueprint, network } = this.parts;
    const { encoder } = blueprint.spec;
    if (served === 0) this.encoded = UNREAD;
    this.marks = network.kept.marked ? turnsOf(served, shared, prompt.length) : [];
    this.cached.length = encoder ? 0 : served; // of an answer to what an encoder read nothing is kept
    this.resize(encoder ? 1 : prompt.length);
    return served;
  }

  /** Tokens with which both begin, and of which the KV cache has the same keys and values for both. */
  sharedWith(other: Sequence): number {
    if (this.encoded !== other.encoded || this.extended !== other.extended) return 0;
    return commonLength(this.cached, other.cached);
  }

  /** Takes the first `count` tokens of another sequence over, with copies of those keys and values that differ. */
  copy(other: Sequence, count: number): void {
    const { network } = this.parts;
    const same = Math.min(this.sharedWith(other), count);
    const rows = this.encoded === other.encoded ? count : Math.max(count, other.encoded.length);
    this.marks = [];
    if (rows > same) network.copyRows(other.slot, this.slot, same, rows);
    network.kept.copy(other.slot, this.slot, count, same);
    this.cached = other.cached.slice(0, count);
    this.encoded = other.encoded;
    this.extended = other.extended;
  }

  /** An encoder has to read the prompt first. */
  get mustEncode(): boolean {
    return this.parts.blueprint.spec.encoder !== undefined && this.encoded.length === 0;
  }

  /** Has the encoder read the prompt. @returns false where it was cancelled */
  encode(prompt: readonly number[], cancelled: () => boolean): boolean {
    const { network, experts, rebalancer } = this.parts;
    if (!encode(network, experts, prompt, this.slot, cancelled)) return false;
    this.encoded = [...prompt];
    rebalancer?.afterCall(prompt.length);
    return true;
  }

  /** The next `count` tokens, at most, as a part of a call that is computed next. */
  part(tokens: readonly number[], count: number): Part {
    const past = this.cached.length;
    const { slot, extended } = this;
    const end = Math.min(past + count, this.marks.find((mark) => mark > past) ?? Infinity);
    const own = tokens.slice(past, end);
    this.parts.network.kept.begin(slot, past, past + own.length);
    const before = this.parts.network.before > 0 ? this.cached.slice(-this.parts.network.before) : undefined;
    return { slot, tokens: own, past, before, source: this.encoded.length, extended };
  }

  /** The part was computed. */
  computed({ tokens }: Part): void {
    const { kept } = this.parts.network;
    this.cached.push(...tokens);
    kept.computed(this.slot, this.length);
    if (this.marks.includes(this.length)) kept.mark(this.slot);
  }

  /**
   * Computes the tokens that are not in the KV cache yet, a chunk a call.
   * @param onChunk told after each call how many tokens are before its own, and the number of those
   * @returns false where it was cancelled
   */
  compute(
    tokens: readonly number[],
    cancelled: () => boolean,
    onChunk: (first: number, count: number) => void = () => {},
  ): boolean {
    const { network, experts, sizes, rebalancer } = this.parts;
    this.resize(tokens.length);
    while (this.length < tokens.length) {
      const part = this.part(tokens, sizes.chunk);
      if (!forward(network.decoder, experts, [part], cancelled)) return false;
      this.computed(part);
      onChunk(part.past, part.tokens.length);
      rebalancer?.afterCall(part.tokens.length);
    }
    return true;
  }

  /** A sequence of this many tokens may be computed otherwise than it was: what is there is then of no use. */
  resize(length: number): void {
    const extended = this.parts.network.decoder.extends(length);
    if (extended !== this.extended) this.cached = [];
    this.extended = extended;
  }

  /** Sequences of one call are computed alike. */
  isLike(other: Sequence): boolean {
    return this.extended === other.extended;
  }
}

/** Tokens with which both begin. */
function commonLength(a: readonly number[], b: readonly number[]): number {
  const most = Math.min(a.length, b.length);
  let same = 0;
  while (same < most && a[same] === b[same]) same++;
  return same;
}
