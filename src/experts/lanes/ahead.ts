import type { ExpertsSpec } from '../spec.js';

/** Tokens that an expert must be able to expect: then it gets none in one of e⁴ calls. */
const EXPECTED_TOKENS = 4;

/**
 * Experts that a layer will need whatever its router says, since the call has so many tokens; those that had most so far
 * first. They can be copied while the layer attends, when nothing else is.
 * @param popularity tokens that each of the layer's experts had; each counts as if it had had one more
 */
export function surelyNeeded(
  { count, chosen }: Pick<ExpertsSpec, 'count' | 'chosen'>,
  tokens: number,
  popularity: ArrayLike<number> | undefined,
  missing: (expert: number) => boolean,
): number[] {
  const had = Array.from({ length: count }, (_, e) => 1 + (popularity?.[e] ?? 0));
  const least = EXPECTED_TOKENS * had.reduce((sum, n) => sum + n, 0);
  const experts = [...had.keys()].filter((e) => had[e]! * tokens * chosen >= least && missing(e));
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
