import type { RelativeBias } from '../models/parameters.js';

const MINUS_INFINITY_F16 = 0xfc00;

/** Row i of the mask: 0 for the positions that token past + i may look at, −∞ for all others. */
export function fillMask(mask: Uint16Array, past: number, count: number, rows: number, window: number): void {
  for (let i = 0; i < count; i++) {
    const row = mask.subarray(i * rows, (i + 1) * rows);
    const position = past + i;
    const first = window > 0 ? Math.max(0, position - window + 1) : 0;
    row.fill(MINUS_INFINITY_F16);
    row.fill(0, first, position + 1);
  }
}

/** Every one of `count` rows: 0 for the first `seen` positions, −∞ for all others. */
export function fillSourceMask(mask: Uint16Array, count: number, rows: number, seen: number): void {
  for (let i = 0; i < count; i++) {
    const row = mask.subarray(i * rows, (i + 1) * rows);
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

  /** Row i of head h in mask [heads, count, rows]: the bias of each position that token past + i may look at, else −∞. */
  fill(mask: Float32Array, past: number, count: number, rows: number): void {
    for (const [head, line] of this.lines.entries()) {
      for (let i = 0; i < count; i++) {
        const from = (head * count + i) * rows;
        const position = past + i;
        const end = this.bias.bidirectional ? rows : position + 1;
        mask.set(line.subarray(this.reach - position, this.reach - position + end), from);
        mask.fill(-Infinity, from + end, from + rows);
      }
    }
  }
}
