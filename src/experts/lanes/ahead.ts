import type { ExpertsSpec } from '../spec.js';

/** Tokens that an expert must be able to expect: then all but one in e⁴ get any, if routing is even. */
const EXPECTED_TOKENS = 4;

/**
 * Experts that a layer will need whatever its router says, since the call has so many tokens; those that had most so far
 * first. They can be copied while the layer attends, when nothing else is.
 * @param popularity tokens that each of the layer's experts had
 */
export function surelyNeeded(
  { count, chosen }: Pick<ExpertsSpec, 'count' | 'chosen'>,
  tokens: number,
  popularity: ArrayLike<number> | undefined,
  missing: (expert: number) => boolean,
): number[] {
  if (tokens * chosen < EXPECTED_TOKENS * count) return [];
  const experts = Array.from({ length: count }, (_, e) => e).filter(missing);
  return popularity ? experts.sort((a, b) => popularity[b]! - popularity[a]!) : experts;
}

/**
 * Experts that are copied ahead, at most: what the next layer sends first waits behind them, and then a slot must be free,
 * so that the link goes on while that layer's first experts are computed.
 */
export function mostAhead(slots: number): number {
  return Math.max(0, slots - 1);
}
