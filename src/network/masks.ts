import type { RelativeBias } from '../models/parameters.js';

const MINUS_INFINITY_F16 = 0xfc00;

/** A sequence's tokens in a call, and where their part of a mask begins, in elements. */
export interface Masked {
  past: number;
  count: number;
  /** Of the KV cache, that attention reads. */
  rows: number;
  at: number;
}

/** How a layer's part of the KV cache lies: `kept` rows of each sequence, of which attention reads those behind `from`. */
export interface Ring {
  kept: number;
  from: number;
}

/**
 * Row i of a mask's part: 0 where the position that a row of the KV cache holds is one that token past + i may look at, −∞
 * elsewhere. Position p lies in row p mod `kept`.
 */
export function fillMask(
  mask: Uint16Array,
  { past, count, rows, at }: Masked,
  window: number,
  { kept, from }: Ring,
): void {
  for (let i = 0; i < count; i++) {
    const row = mask.subarray(at + i * rows, at + (i + 1) * rows);
    const position = past + i;
    const first = window > 0 ? Math.max(0, position - window + 1) : 0;
    const begin = (first % kept) - from;
    const end = begin + position - first + 1;
    row.fill(MINUS_INFINITY_F16);
    row.fill(0, begin, end);
    if (from + end > kept) row.fill(0, 0, end - kept); // the ring is read as a whole
  }
}

/** Every row of a mask's part: 0 for the first `seen` positions, −∞ for all others. */
export function fillSourceMask(mask: Uint16Array, { count, rows, at }: Omit<Masked, 'past'>, seen: number): void {
  for (let i = 0; i < count; i++) {
    const row = mask.subarray(at + i * rows, at + (i + 1) * rows);
    row.fill(MINUS_INFINITY_F16);
    row.fill(0, 0, seen);
  }
}

/** A relative bias by distance, from which rows of masks are copied. */
export class BiasLines {
  /** For each head what it adds at the distances −reach … reach. */
  private readonly lines: readonly Float32Array[];

  /** @param reach largest distance that occurs */
  constructor(
    private readonly bias: RelativeBias,
    private readonly reach: number,
  ) {
    const { table, heads, bucket } = bias;
    const buckets = Int32Array.from({ length: 2 * reach + 1 }, (_, i) => bucket(i - reach));
    this.lines = Array.from({ length: heads }, (_, head) =>
      Float32Array.from(buckets, (b) => table.values[b * heads + head]!),
    );
  }

  /** Row i of head h in a part [heads, count, rows]: the bias of each position that token past + i may look at, else −∞. */
  fill(mask: Float32Array, { past, count, rows, at }: Masked): void {
    for (const [head, line] of this.lines.entries()) {
      for (let i = 0; i < count; i++) {
        const from = at + (head * count + i) * rows;
        const position = past + i;
        const end = this.bias.bidirectional ? rows : position + 1;
        mask.set(line.subarray(this.reach - position, this.reach - position + end), from);
        mask.fill(-Infinity, from + end, from + rows);
      }
    }
  }
}
