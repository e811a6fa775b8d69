import { aligned } from '../../devices/shared-words.js';
import { type Assigned, partOfEach } from '../assignments.js';
import type { GroupFew, GroupRows, Round } from '../group.js';

/** An expert of a group, and its number in the slab. */
export interface Member {
  expert: number;
  slot: number;
}

/** Lists of whole numbers of a group, see {@link GroupRows}, each as long as there are assignments: the order is up to two. */
const LISTS = 5;
/** Words of 32 bits that are sent for each of a group's assignments: the lists, and the weights behind them. */
export const WORDS = LISTS + 1;

/** A round of additions reads so many rows of no weight at most for each further assignment: about what a round takes. */
const IDLE_ROWS = 512;

/**
 * Assignments that lie beside each other in one row of a product by number: CUDA's kernels find the rows of each expert fast
 * for these numbers only (ggml-cuda/mmid.cu), and the more they are the fewer rows there are.
 */
const ABREAST = [32, 16, 8, 4, 2];

/** In calls of few tokens assignments are filled up to a multiple of so many, so that few graphs serve. */
export const STEP = 4;
/** Assignments with which a group is filled up, at most. */
export const MOST_FILLED = Math.max(STEP, ...ABREAST);

/**
 * Rounds in which assignments are added: each is for the tokens that have so many, and all of them. Few rounds read more rows
 * of no weight, at most as many as there are assignments.
 * @param sizes how many tokens have a first, a second, … assignment
 */
export function roundsOf(sizes: ArrayLike<number>): Round[] {
  const rounds: Round[] = [];
  let [rows, used] = [0, 0];
  for (let i = 0; i < sizes.length && sizes[i]! > 0; i++) {
    const last = rounds.at(-1);
    if (last && last.tokens - sizes[i]! <= IDLE_ROWS && rows + last.tokens <= 2 * (used + sizes[i]!)) last.depth++;
    else rounds.push({ tokens: sizes[i]!, depth: 1 });
    rows += rounds.at(-1)!.tokens;
    used += sizes[i]!;
  }
  return rounds;
}

/** The order in which a group's assignments are computed and added. */
export class GroupOrder {
  /** Of each token, assignments that were counted so far, and where it lies in its round. */
  private readonly seen: Int32Array;
  private readonly places: Int32Array;
  /** How many tokens have a first, a second, … assignment. */
  private readonly sizes: Int32Array;
  private readonly columns: Columns;

  /** @param numbers and `weights`: the same memory, which the device is sent */
  constructor(
    private readonly numbers: Int32Array,
    private readonly weights: Float32Array,
    chunk: number,
    chosen: number,
  ) {
    this.seen = new Int32Array(chunk);
    this.places = new Int32Array(chunk);
    this.sizes = new Int32Array(chosen);
    this.columns = new Columns(chosen);
  }

  /** Writes the members' assignments: lists, and weights behind them, from {@link WORDS} times `from` on. */
  write(from: number, members: readonly Member[], of: Assigned, tokens: number): GroupRows {
    const { rows, abreast } = rowsOf(members, of);
    const count = rows * abreast;
    const size = aligned(count);
    const ids = WORDS * from;
    const list = (i: number) => ids + i * size;
    const at = { ids, tokens: list(1), order: list(2), targets: list(4), weights: list(LISTS) };
    const shape = { rows, abreast };
    this.layOut(at, shape, members, of, tokens);
    this.weights.fill(0, at.weights, at.weights + count);
    const rounds = this.rounds(at, shape, members, of, tokens);
    return { ...at, count, abreast, rounds };
  }

  /**
   * Writes the members' assignments in a call of few tokens: three lists `size` apart, and weights behind them, from
   * {@link WORDS} times `from` on.
   */
  writeFew(from: number, members: readonly Member[], of: Assigned, n: number): GroupFew & { size: number } {
    const { abreast, total } = abreastOf(members, of);
    const step = total <= STEP ? abreast : Math.max(STEP, abreast);
    const count = Math.ceil(total / step) * step;
    const rows = count / abreast;
    const columns = Math.min(this.sizes.length, members.length);
    const size = aligned(Math.max(count, n * columns));
    const ids = WORDS * from;
    const at = { ids, tokens: ids + size, order: ids + 2 * size, weights: ids + 3 * size };
    const shape = { rows, abreast };
    this.layOut(at, shape, members, of, n);
    this.seen.fill(0, 0, n);
    this.numbers.fill(0, at.order, at.order + n * columns);
    this.weights.fill(0, at.weights, at.weights + n * columns);
    let i = 0;
    for (const { expert } of members) {
      const end = of.start(expert) + of.count(expert);
      for (let a = of.start(expert); a < end; a++, i++) {
        const token = of.rows[a]!;
        const target = token * columns + this.seen[token]!++;
        this.numbers[at.order + target] = placeOf(i, shape);
        this.weights[at.weights + target] = of.weights[a]!;
      }
    }
    return { ...at, count, abreast, columns, n, size };
  }

  /**
   * Writes the assignments' weights, and for each round where its tokens lie, and where their assignments do: that of no weight
   * where there is none.
   */
  private rounds(
    { order, targets, weights: from }: Pick<GroupRows, 'order' | 'targets' | 'weights'>,
    { rows, abreast }: Rows,
    members: readonly Member[],
    of: Assigned,
    tokens: number,
  ): Round[] {
    const { numbers, weights, seen, places, columns } = this;
    const rounds = roundsOf(this.sizes);
    const ordered = columns.begin(rounds, order, targets);
    numbers.fill(rows * abreast - 1, order, ordered);
    seen.fill(0, 0, tokens);
    let [row, column] = [0, 0];
    for (const { expert } of members) {
      const end = of.start(expert) + of.count(expert);
      for (let a = of.start(expert); a < end; a++) {
        const token = of.rows[a]!;
        const place = row * abreast + column;
        const nth = seen[token]!++;
        const target = columns.targets[nth]!;
        if (target >= 0) {
          places[token] = columns.found[nth]!++;
          numbers[target + places[token]!] = token;
        }
        numbers[columns.orders[nth]! + places[token]!] = place;
        weights[from + place] = of.weights[a]!;
        if (++row < rows) continue;
        row = 0;
        column++;
      }
    }
    return rounds;
  }

  /**
   * Writes whose assignments lie where, and counts tokens that have a first, a second, … one; the last are a token of an expert
   * once more, of no use, at the end of rows that have not this expert.
   */
  private layOut(
    { ids, tokens }: Pick<GroupRows, 'ids' | 'tokens'>,
    shape: Rows,
    members: readonly Member[],
    of: Assigned,
    n: number,
  ): void {
    const { numbers, seen, sizes } = this;
    const { rows, abreast } = shape;
    sizes.fill(0);
    seen.fill(0, 0, n);
    let [row, column] = [0, 0];
    for (const { expert, slot } of members) {
      const end = of.start(expert) + of.count(expert);
      for (let a = of.start(expert); a < end; a++) {
        const token = of.rows[a]!;
        const place = row * abreast + column;
        numbers[ids + place] = slot;
        numbers[tokens + place] = token;
        sizes[seen[token]!++]!++;
        if (++row < rows) continue;
        row = 0;
        column++;
      }
    }
    for (let i = column * rows + row; i < rows * abreast; i++) {
      const place = placeOf(i, shape);
      const used = numbers.subarray(ids + place - (place % abreast), ids + place);
      const { expert, slot } = members.find((member) => !used.includes(member.slot))!;
      numbers[ids + place] = slot;
      numbers[tokens + place] = of.rows[of.start(expert)]!;
    }
  }
}

/** Where the n-th assignment of each token is named, by n: in the rounds' lists, which lie one behind the other. */
class Columns {
  readonly orders: Int32Array;
  /** Where its round names its tokens, if n is the first of the round; else −1. */
  readonly targets: Int32Array;
  /** Tokens of a round that were named so far, by its first n. */
  readonly found: Int32Array;

  /** @param most assignments of a token */
  constructor(most: number) {
    this.orders = new Int32Array(most);
    this.targets = new Int32Array(most);
    this.found = new Int32Array(most);
  }

  /** @param order where the first list of assignments begins, and `target` the first of tokens @returns where the last of assignments ends */
  begin(rounds: readonly Round[], order: number, target: number): number {
    let [n, ordered, targeted] = [0, order, target];
    this.found.fill(0);
    for (const { tokens, depth } of rounds) {
      for (let d = 0; d < depth; d++, n++) {
        this.orders[n] = ordered;
        this.targets[n] = d === 0 ? targeted : -1;
        ordered += tokens;
      }
      targeted += tokens;
    }
    return ordered;
  }
}

/** How many rows of assignments, and how many lie beside each other in each. */
interface Rows {
  rows: number;
  abreast: number;
}

/** Experts one behind the other go down the rows, so that those beside each other differ. */
function placeOf(i: number, { rows, abreast }: Rows): number {
  return (i % rows) * abreast + Math.floor(i / rows);
}

/** Assignments of a group, and how many of them may lie beside each other: no two of one expert. */
function abreastOf(members: readonly Member[], of: Assigned): { abreast: number; total: number } {
  const counts = members.map(({ expert }) => of.count(expert));
  const total = counts.reduce((sum, count) => sum + count, 0);
  return { abreast: ABREAST.find((n) => n * Math.max(...counts) <= total) ?? 1, total };
}

/** The last assignment has no weight. */
function rowsOf(members: readonly Member[], of: Assigned): Rows {
  const { abreast, total } = abreastOf(members, of);
  return { rows: Math.ceil((total + 1) / abreast), abreast };
}

/**
 * A group divided so that no product has more than so many rows: each part has as much of every expert's assignments as the
 * others, give or take one.
 * @param most at least 4
 */
export function inParts(members: readonly Member[], of: Assigned, most: number): { members: Member[]; of: Assigned }[] {
  const largest = Math.max(...members.map(({ expert }) => of.count(expert)));
  for (let parts = Math.max(1, Math.ceil(largest / most)); ; parts++) {
    const divided = Array.from({ length: parts }, (_, part) => {
      const some = partOfEach(of, part, parts);
      return { members: members.filter(({ expert }) => some.count(expert) > 0), of: some };
    });
    if (divided.every((part) => rowsOf(part.members, part.of).rows <= most)) return divided;
  }
}
