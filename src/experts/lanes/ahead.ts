import type { ExpertsSpec } from '../spec.js';

/** Tokens that an expert must be able to expect: then it gets none in one of e⁴ calls. */
const EXPECTED_TOKENS = 4;
/** Of the last calls in which all experts could expect so many, an expert must have had any in this share. */
const LEAST_USE = 0.6;
/** What a call says counts so much less after each further one. */
const FADING = 0.85;

/** In how many of the last long calls each expert was used: each may bring a text for which routers leave many out. */
export class LongCalls {
  private readonly uses: readonly Float64Array[];
  private readonly calls: Float64Array;

  constructor(private readonly layers: readonly Pick<ExpertsSpec, 'count' | 'chosen'>[]) {
    this.uses = layers.map(({ count }) => new Float64Array(count));
    this.calls = new Float64Array(layers.length);
  }

  /** A call of so many tokens used these experts of a layer. */
  used(layer: number, experts: readonly { expert: number }[], tokens: number): void {
    const { count, chosen } = this.layers[layer]!;
    if (tokens * chosen < EXPECTED_TOKENS * count) return;
    const uses = this.uses[layer]!;
    for (let e = 0; e < count; e++) uses[e]! *= FADING;
    for (const { expert } of experts) uses[expert]!++;
    this.calls[layer] = FADING * this.calls[layer]! + 1;
  }

  /** Whether an expert is used by most such calls: before any was seen all are. */
  mostUse(layer: number, expert: number): boolean {
    return 1 + this.uses[layer]![expert]! >= LEAST_USE * (1 + this.calls[layer]!);
  }
}

/**
 * Experts that a layer will need whatever its router says, since the call has so many tokens; those that had most so far
 * first. They can be copied while the layer attends, when nothing else is.
 * @param popularity tokens that each of the layer's experts had; each counts as if it had had one more
 * @param copied whether an expert is to be copied if it is needed
 */
export function surelyNeeded(
  { count, chosen }: Pick<ExpertsSpec, 'count' | 'chosen'>,
  tokens: number,
  popularity: ArrayLike<number> | undefined,
  copied: (expert: number) => boolean,
): number[] {
  const had = Array.from({ length: count }, (_, e) => 1 + (popularity?.[e] ?? 0));
  const least = EXPECTED_TOKENS * had.reduce((sum, n) => sum + n, 0);
  const experts = [...had.keys()].filter((e) => had[e]! * tokens * chosen >= least && copied(e));
  return experts.sort((a, b) => had[b]! - had[a]!);
}

/**
 * Those of them that are copied ahead, as many as the layer before streamed. What the layer sends first waits behind them,
 * and then one slot must be free, so that the link goes on while its first experts are computed.
 * @param place orders them, so that neighbours travel together
 */
export function copiedAhead(
  needed: readonly number[],
  streamed: number,
  slots: number,
  place: (expert: number) => number = (expert) => expert,
): readonly number[] {
  const copied = needed.slice(0, Math.max(0, Math.min(streamed, slots - 1)));
  return copied.sort((a, b) => place(a) - place(b));
}
