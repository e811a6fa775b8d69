import type { Device } from '../devices/device.js';
import type { CacheRows } from '../models/parameters.js';
import type { Part, RowRange } from './batch.js';
import { attendedRows, attendedStep, cacheRows } from './inputs.js';
import type { Keeper } from './kept.js';

/** A sequence can always go back by so many tokens, or this share of its context where that is less. */
const REACH = 4096;
const REACH_SHARE = 1 / 8;

export interface RingSizes {
  /** Most tokens of a sequence, and of a sequence in a call. */
  context: number;
  chunk: number;
  /** Rows come in multiples of this: at least the device's, as of `attendedRows`. */
  step: number;
}

/**
 * Rows of the KV cache that a layer keeps of each sequence; the token at position p lies in row p mod these. A sliding
 * window (0 stands for none) takes no more than itself and what a call writes behind it, or a sequence goes back by.
 */
export function keptRows(window: number, { context, chunk, step }: RingSizes): number {
  const all = cacheRows(context);
  if (window === 0) return all;
  const behind = Math.max(chunk, Math.min(REACH, Math.floor(context * REACH_SHARE)));
  return Math.min(all, Math.ceil((window - 1 + behind) / step) * step);
}

/**
 * Rows that attention of a call reads of a part of its sequence: a piece of the ring with what its tokens look at, in few
 * sizes, or where that goes beyond the last row all of them.
 * @param least as of `attendedRows`
 */
export function readRows(
  { past, tokens }: Pick<Part, 'past' | 'tokens'>,
  window: number,
  kept: number,
  least: number,
): RowRange {
  const end = past + tokens.length;
  if (window === 0) return { from: 0, count: attendedRows(end, least) };
  const first = Math.max(0, past - window + 1);
  const begin = first % kept;
  if (begin + end - first > kept) return { from: 0, count: kept };
  const step = attendedStep(end - first, least);
  const lead = begin > 0 ? step - 1 : 0;
  const count = Math.min(kept, attendedRows(end - first + lead, step));
  return { from: Math.min(kept - count, Math.floor(begin / step) * step), count };
}

/** Copies the rows of positions of one sequence's part of each cache to another's, also of those that share a row with others. */
export function copyRows(
  device: Device,
  caches: readonly CacheRows[],
  slots: { from: number; to: number },
  ranges: readonly RowRange[],
): void {
  device.once(4 * caches.length * ranges.length, (g) => {
    for (const { tensor, rows, every } of caches) {
      for (const { from, count } of ranges) {
        const first = Math.floor(from / every);
        const rowsIn = (slot: number) => g.rows(tensor, slot * rows + first, Math.ceil((from + count) / every) - first);
        g.compute(g.copy(rowsIn(slots.from), rowsIn(slots.to)));
      }
    }
  });
}

/** Where the positions [first, end) lie, of which there are no more than rows. */
export function rowsOf(first: number, end: number, rows: number): RowRange[] {
  const from = first % rows;
  const count = Math.min(end - first, rows - from);
  const others = end - first - count;
  return [{ from, count }, ...(others > 0 ? [{ from: 0, count: others }] : [])];
}

/** What layers of one window keep: the rows of each sequence's last positions. */
export class Ring implements Keeper {
  /** Of each sequence the first position whose row no later one has taken, whether that is still of use or not. */
  private readonly oldest: number[];

  constructor(
    private readonly device: Device,
    private readonly caches: readonly CacheRows[],
    private readonly sizes: { window: number; rows: number },
    sequences: number,
  ) {
    this.oldest = Array<number>(sequences).fill(0);
  }

  resumable(slot: number, most: number): number {
    return this.reaches(most, this.oldest[slot]!) ? most : 0;
  }

  private reaches(position: number, oldest: number): boolean {
    return oldest === 0 || position - this.sizes.window + 1 >= oldest;
  }

  begin(slot: number, position: number, end: number): void {
    const before = position > 0 ? this.oldest[slot]! : 0;
    this.oldest[slot] = Math.max(before, end - this.sizes.rows);
  }

  computed(): void {}

  copy(from: number, to: number, position: number, shared: number): void {
    const { rows } = this.sizes;
    const oldest = this.oldest[from]!;
    const both = Math.max(oldest, this.oldest[to]!);
    const some = shared > 0 && this.reaches(position, both);
    const first = Math.max(some ? shared : 0, oldest);
    if (first < position) copyRows(this.device, this.caches, { from, to }, rowsOf(first, position, rows));
    this.oldest[to] = some ? both : oldest;
  }

  forget(slot: number): void {
    this.oldest[slot] = 0;
  }
}
