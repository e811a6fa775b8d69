import type { CachePolicy, RoutedLayer, Use } from './caches/cache.js';
import type { TracedCall, TracedModel } from './trace.js';

/** Calls of more tokens are prompts, which use most experts of a layer at once: they neither count nor change what is there. */
export const MOST_DECODED = 32;

/** What a rule would have done with what was once chosen. */
export interface Replayed {
  policy: string;
  /** Uses of an expert in a call, and those that found it missing. */
  uses: number;
  misses: number;
  /** Experts that were copied into a slot. */
  copies: number;
}

/** The uses of experts by calls that decode, in order. @returns with the tokens that were decoded */
export function usesOf({ layers }: TracedModel, calls: Iterable<TracedCall>): { uses: Use[]; tokens: number } {
  const firsts = [0];
  for (const { count } of layers) firsts.push(firsts.at(-1)! + count);
  const uses: Use[] = [];
  let [time, decoded] = [0, 0];
  for (const { tokens, first, experts } of calls) {
    if (tokens > MOST_DECODED) continue;
    experts.forEach((chosen, l) => {
      for (const e of new Set(chosen))
        if (e >= 0) uses.push({ expert: firsts[first + l]! + e, time: time + l / layers.length });
    });
    decoded += tokens;
    time++;
  }
  return { uses, tokens: decoded };
}

/** Follows a rule through all uses, from empty slots. */
export function replay(
  { name, create }: CachePolicy,
  slots: number,
  uses: readonly Use[],
  layers: readonly RoutedLayer[],
): Replayed {
  const cache = create(slots, uses, layers);
  let misses = 0;
  for (const use of uses) if (!cache.use(use)) misses++;
  return { policy: name, uses: uses.length, misses, copies: cache.copies };
}
