import type { Assignments } from '../assignments.js';
import type { GroupFew, GroupRows } from '../group.js';

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

/** In calls of few tokens assignments are filled up to a multiple of so many, so that few graphs serve. */
export const STEP = 4;

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
    const { abreast, total } = abreastOf(members, of);
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
    for (; i < count; i++) {
      const [row, column] = [(i % rows) * abreast, Math.floor(i / rows)];
      this.fill(at, row, column, members);
      this.weights[from + row + column] = 0;
    }
    return { ...at, count, abreast, columns };
  }

  /**
   * Writes the members' assignments in a call of few tokens: weights from `from` on, and three lists from {@link LISTS} times
   * that, `size` apart.
   */
  writeFew(from: number, members: readonly Member[], of: Assignments, n: number): GroupFew & { size: number } {
    const { abreast, total } = abreastOf(members, of);
    const step = total <= STEP ? abreast : Math.max(STEP, abreast);
    const count = Math.ceil(total / step) * step;
    const rows = count / abreast;
    const columns = Math.min(this.next.length, members.length);
    const size = aligned(Math.max(count, n * columns));
    const ids = LISTS * from;
    const at = { ids, weights: from, tokens: ids + size, order: ids + 2 * size };
    this.seen.fill(0, 0, n);
    this.numbers.fill(0, at.order, at.order + n * columns);
    this.weights.fill(0, from, from + n * columns);
    let i = 0;
    for (const { expert, slot } of members) {
      const end = of.start(expert) + of.count(expert);
      for (let a = of.start(expert); a < end; a++, i++) {
        const place = (i % rows) * abreast + Math.floor(i / rows);
        const token = of.rows[a]!;
        const target = this.seen[token]!++ * n + token;
        this.numbers[at.ids + place] = slot;
        this.numbers[at.tokens + place] = token;
        this.numbers[at.order + target] = place;
        this.weights[from + target] = of.weights[a]!;
      }
    }
    for (; i < count; i++) this.fill(at, (i % rows) * abreast, Math.floor(i / rows), members);
    return { ...at, count, abreast, columns, n, size };
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

  /** An assignment of no use at the end of a row, by an expert that the row does not have. */
  private fill(
    { ids, tokens }: Pick<GroupRows, 'ids' | 'tokens'>,
    row: number,
    column: number,
    members: readonly Member[],
  ): void {
    const used = this.numbers.subarray(ids + row, ids + row + column);
    const { slot } = members.find((member) => !used.includes(member.slot))!;
    this.numbers[ids + row + column] = slot;
    this.numbers[tokens + row + column] = 0;
  }
}

/** Assignments of a group, and how many of them may lie beside each other: no two of one expert. */
function abreastOf(members: readonly Member[], of: Assignments): { abreast: number; total: number } {
  const counts = members.map(({ expert }) => of.count(expert));
  const total = counts.reduce((sum, count) => sum + count, 0);
  return { abreast: ABREAST.find((n) => n * Math.max(...counts) <= total) ?? 1, total };
}
