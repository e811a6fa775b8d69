import type { Assignments } from '../assignments.js';
import type { GroupRows } from '../group.js';

/** An expert of a group, and its number in the slab. */
export interface Member {
  expert: number;
  slot: number;
}

/** Lists of whole numbers of a group, see {@link GroupRows}. */
export const LISTS = 4;
/** They begin at multiples of so many numbers: Vulkan binds buffers at such places only. */
export const APART = 64;

export function aligned(count: number): number {
  return Math.ceil(count / APART) * APART;
}

/**
 * Assignments that lie beside each other in one row of a product by number: CUDA's kernels find the rows of each expert fast
 * for these numbers only (ggml-cuda/mmid.cu), and the more they are the fewer rows there are.
 */
const ABREAST = [32, 16, 8, 4, 2];

/** The order in which a group's assignments are computed and added. */
export class GroupOrder {
  /** Of each token, assignments that were counted so far. */
  private readonly seen: Int32Array;
  /** Where the next first, second, … assignment of a token goes. */
  private readonly next: Int32Array;

  /** @param numbers and `weights`: what the device is sent */
  constructor(
    private readonly numbers: Int32Array,
    private readonly weights: Float32Array,
    chunk: number,
    chosen: number,
  ) {
    this.seen = new Int32Array(chunk);
    this.next = new Int32Array(chosen);
  }

  /** Writes the members' assignments: weights from `from` on, and the lists from {@link LISTS} times that. */
  write(from: number, members: readonly Member[], of: Assignments, tokens: number): GroupRows {
    const counts = members.map(({ expert }) => of.count(expert));
    const total = counts.reduce((sum, count) => sum + count, 0);
    const abreast = ABREAST.find((n) => n * Math.max(...counts) <= total) ?? 1;
    const rows = Math.ceil(total / abreast);
    const count = rows * abreast;
    const size = aligned(count);
    const ids = LISTS * from;
    const at = { ids, weights: from, tokens: ids + size, order: ids + 2 * size, targets: ids + 3 * size };
    const columns = this.columns(members, of, tokens);
    this.seen.fill(0, 0, tokens);
    let i = 0; // experts one behind the other go down the rows, so that those beside each other differ
    for (const { expert, slot } of members) {
      const end = of.start(expert) + of.count(expert);
      for (let a = of.start(expert); a < end; a++, i++) {
        const place = (i % rows) * abreast + Math.floor(i / rows);
        const token = of.rows[a]!;
        const target = this.next[this.seen[token]!++]!++;
        this.numbers[at.ids + place] = slot;
        this.numbers[at.tokens + place] = token;
        this.weights[from + place] = of.weights[a]!;
        this.numbers[at.order + target] = place;
        this.numbers[at.targets + target] = token;
      }
    }
    for (; i < count; i++) this.fill(at, (i % rows) * abreast, Math.floor(i / rows), members);
    return { ...at, count, abreast, columns };
  }

  /** Counts tokens that have a first, a second, … expert of the group, and notes where these begin. */
  private columns(members: readonly Member[], of: Assignments, tokens: number): number[] {
    const { seen, next } = this;
    const sizes = new Int32Array(next.length);
    seen.fill(0, 0, tokens);
    for (const { expert } of members) {
      const end = of.start(expert) + of.count(expert);
      for (let a = of.start(expert); a < end; a++) sizes[seen[of.rows[a]!]!++]!++;
    }
    next[0] = 0;
    for (let column = 1; column < next.length; column++) next[column] = next[column - 1]! + sizes[column - 1]!;
    return [...sizes].filter((size) => size > 0);
  }

  /** An assignment of weight 0 at the end of a row, by an expert that the row does not have. */
  private fill(
    { ids, tokens, weights }: Pick<GroupRows, 'ids' | 'tokens' | 'weights'>,
    row: number,
    column: number,
    members: readonly Member[],
  ): void {
    const used = this.numbers.subarray(ids + row, ids + row + column);
    const { slot } = members.find((member) => !used.includes(member.slot))!;
    this.numbers[ids + row + column] = slot;
    this.numbers[tokens + row + column] = 0;
    this.weights[weights + row + column] = 0;
  }
}
