import type { Share } from '../policy.js';

/** How many tokens batches have. */
export interface BatchTokens {
  /** At most those of all experts together; one expert alone may have more. */
  most: number;
  /** Batches of no more stay together whatever they are made of. */
  few: number;
}

/**
 * Divides shares into those that are computed together. An expert with more tokens than all others of its batch is
 * computed alone: of what lies in one row of a product by number no two are of one expert, and products whose rows have one
 * each take long to find whose they are.
 * @param size most experts of the next batch, of so many that are left
 * @param place orders experts: neighbours by it meet in a batch. Without it those with most tokens come first
 */
export function batchesOf(
  shares: readonly Share[],
  { most, few }: BatchTokens,
  size: (left: number) => number = () => Infinity,
  place?: (expert: number) => number,
): Share[][] {
  const batches: Share[][] = [];
  let room = { rows: 0, experts: 0 };
  ordered(shares, place).forEach((share, i) => {
    if (room.experts < 1 || room.rows < share.tokens) {
      room = { rows: most, experts: Math.max(1, size(shares.length - i)) };
      batches.push([]);
    }
    batches.at(-1)!.push(share);
    room = { rows: room.rows - share.tokens, experts: room.experts - 1 };
  });
  return batches.flatMap((batch) => withoutLargest(batch, few));
}

/** Those with fewest tokens come last in any case: what is copied last is waited for by what computes it. */
function ordered(shares: readonly Share[], place?: (expert: number) => number): Share[] {
  const sorted = [...shares].sort((a, b) => b.tokens - a.tokens); // of equals none has more than the others
  if (!place) return sorted;
  const byPlace = (some: Share[]) => some.sort((a, b) => place(a.expert) - place(b.expert));
  const last = Math.max(0, sorted.length - LAST);
  return [...byPlace(sorted.slice(0, last)), ...byPlace(sorted.slice(last))];
}

function withoutLargest(batch: Share[], few: number): Share[][] {
  const largest = batch.reduce((a, b) => (b.tokens > a.tokens ? b : a));
  const others = batch.filter((share) => share !== largest);
  const total = others.reduce((sum, { tokens }) => sum + tokens, 0);
  const together = others.length === 0 || largest.tokens <= total || largest.tokens + total <= few;
  return together ? [batch] : [[largest], ...withoutLargest(others, few)];
}

/**
 * Sizes of batches that are copied while the one before is computed: half of what is left, so that little is computed behind
 * the last copy.
 * @param free slots for two batches at a time
 * @param last so many are not divided further
 */
export function halving(free: number, last = LAST): (left: number) => number {
  return (left) => Math.min(Math.floor(free / 2), left > last ? Math.ceil(left / 2) : left);
}

/**
 * How many experts are not divided further. The more tokens an expert has for each byte of a weight, the longer computing it
 * takes beside copying it: then copies of small experts are there before they are needed, and graphs are what costs.
 * @param expert bytes of one
 * @param weights of one
 */
export function lastBatch(shares: readonly Share[], expert: number, weights: number): number {
  const tokens = shares.reduce((sum, share) => sum + share.tokens, 0) / Math.max(1, shares.length);
  const most = Math.min(LAST_BYTES / expert, (tokens * weights) / expert / TOKENS_PER_BYTE);
  return Math.max(LAST, Math.floor(most));
}

/** So few are not divided in any case: a graph costs more. */
const LAST = 4;
/** Tokens of an expert for each byte of a weight and each expert that may be left; by measurements (bench/results/2026-12-01-thread.md). */
const TOKENS_PER_BYTE = 16;
/** Copies that take longer than a few graphs cost are divided whatever is computed. */
const LAST_BYTES = 85e6;
