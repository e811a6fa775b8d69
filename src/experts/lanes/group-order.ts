import { aligned } from '../../devices/shared-words.js';
import type { Gathered, NamedAt, OrderLoops, Rows } from '../../native/order-loops.js';
import { type Assigned, partOfEach } from '../assignments.js';
import type { GroupFew, GroupRows, Round } from '../group.js';
import { plainLoops } from '../order-loops.js';

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
 * Calls of so many tokens at most may add a group's results at once, for all tokens, as many of each as CUDA adds at once:
 * that spares six operations or more, and reads so many rows of no weight at most for it.
 */
export const AT_ONCE = { tokens: 512, depth: 8, idle: 5 * IDLE_ROWS };

/**
 * Assignments that lie beside each other in one row of a product by number: CUDA's kernels find the rows of each expert fast
 * for these numbers only (ggml-cuda/mmid.cu), and the more they are the fewer rows there are.
 */
export const ABREAST = [32, 16, 8, 4, 2];

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

/** A group, in the room of `size` assignments, and of how many rows of no weight that is. */
export type Written = (GroupRows | GroupFew) & { size: number; idle: number };

/** The order in which a group's assignments are computed and added. */
export class GroupOrder {
  /** Scratch for each token: assignments that were counted so far, and where it lies in its round. */
  private readonly seen: Int32Array;
  private readonly places: Int32Array;
  /** How many tokens have a first, a second, … assignment. */
  private readonly sizes: Int32Array;
  private readonly named: NamedAt;
  /** Of a group: those that lie beside each other are apart. */
  private readonly gathered: Gathered;

  /** @param numbers and `weights`: the same memory, which the device is sent */
  constructor(
    private readonly numbers: Int32Array,
    private readonly weights: Float32Array,
    chunk: number,
    chosen: number,
    private readonly loops: OrderLoops = plainLoops,
  ) {
    const most = chunk * chosen;
    this.seen = new Int32Array(chunk);
    this.places = new Int32Array(chunk);
    this.sizes = new Int32Array(chosen);
    const perDepth = () => new Int32Array(chosen);
    this.named = { orders: perDepth(), targets: perDepth(), found: perDepth() };
    this.gathered = { slots: new Int32Array(most), tokens: new Int32Array(most), weights: new Float32Array(most) };
  }

  /**
   * Writes the members' assignments in a call of `n` tokens: lists, and weights behind them, from {@link WORDS} times `from` on.
   * They are added at once where few rows of no weight are read for that, else in rounds.
   * @param idle for so many such rows there is room
   */
  write(from: number, members: readonly Member[], of: Assigned, n: number, idle = AT_ONCE.idle): Written {
    const total = this.gather(members, of, n, this.loops);
    const end = this.sizes.indexOf(0);
    const columns = end < 0 ? this.sizes.length : end;
    const more = Math.max(0, n * columns - total);
    const atOnce = n <= AT_ONCE.tokens && columns <= AT_ONCE.depth && more <= Math.min(idle, AT_ONCE.idle);
    if (!atOnce) return { ...this.writeRounds(from, members, of, n), idle: 0 };
    return { ...this.writeAtOnce(from, members, of, { n, columns, step: 1 }, this.loops), idle: more };
  }

  private writeRounds(from: number, members: readonly Member[], of: Assigned, n: number): GroupRows & { size: number } {
    const { numbers, weights, sizes, named, gathered, loops } = this;
    const shape = rowsOf(members, of);
    const { abreast } = shape;
    const count = shape.rows * abreast;
    const size = aligned(count);
    const ids = WORDS * from;
    const list = (i: number) => ids + i * size;
    const at = { ids, tokens: list(1), order: list(2), targets: list(4), weights: list(LISTS) };
    const tokens = numbers.subarray(at.tokens, at.order);
    loops.layOut(numbers.subarray(at.ids, at.tokens), tokens, shape, gathered);
    const rounds = roundsOf(sizes);
    const ordered = nameRounds(named, rounds, at.order, at.targets);
    numbers.fill(count - 1, at.order, ordered); // of no weight
    const weighed = weights.subarray(at.weights, at.weights + count).fill(0);
    const scratch = { seen: this.seen.subarray(0, n), places: this.places };
    loops.rounds(numbers, weighed, tokens, shape, gathered, named, scratch);
    return { ...at, count, abreast, rounds, size };
  }

  /** Writes the members' assignments in a call of few tokens, for which native calls would take longer. */
  writeFew(from: number, members: readonly Member[], of: Assigned, n: number): GroupFew & { size: number } {
    const total = this.gather(members, of, n, plainLoops);
    const columns = Math.min(this.sizes.length, members.length);
    return this.writeAtOnce(from, members, of, { n, columns, step: total <= STEP ? 1 : STEP }, plainLoops);
  }

  /**
   * Three lists `size` apart, and weights behind them.
   * @param columns as many assignments as a token has at most, or more; they are filled up to a multiple of `step`
   */
  private writeAtOnce(
    from: number,
    members: readonly Member[],
    of: Assigned,
    { n, columns, step }: { n: number; columns: number; step: number },
    loops: OrderLoops,
  ): GroupFew & { size: number } {
    const { numbers, weights, gathered } = this;
    const { abreast, total } = abreastOf(members, of);
    const multiple = Math.max(step, abreast);
    const count = Math.ceil(total / multiple) * multiple;
    const size = aligned(Math.max(count, n * columns));
    const ids = WORDS * from;
    const at = { ids, tokens: ids + size, order: ids + 2 * size, weights: ids + 3 * size };
    const shape = { rows: count / abreast, abreast, total };
    loops.layOut(numbers.subarray(at.ids, at.tokens), numbers.subarray(at.tokens, at.order), shape, gathered);
    const order = numbers.subarray(at.order, at.order + n * columns);
    const weighed = weights.subarray(at.weights, at.weights + n * columns);
    loops.atOnce(order, weighed, columns, shape, gathered, this.seen.subarray(0, n));
    return { ...at, count, abreast, columns, n, size };
  }

  /** Puts the members' assignments one behind the other. @returns how many there are */
  private gather(members: readonly Member[], of: Assigned, n: number, loops: OrderLoops): number {
    const listed = new Int32Array(3 * members.length);
    let total = 0;
    for (const [i, { expert, slot }] of members.entries()) {
      const count = of.count(expert);
      listed[3 * i] = slot;
      listed[3 * i + 1] = of.start(expert);
      listed[3 * i + 2] = count;
      total += count;
    }
    loops.gather(listed, of, this.gathered, this.seen.subarray(0, n), this.sizes);
    return total;
  }
}

/** @param order where the first list of assignments begins, and `target` the first of tokens @returns where the last of assignments ends */
function nameRounds(
  { orders, targets, found }: NamedAt,
  rounds: readonly Round[],
  order: number,
  target: number,
): number {
  let [n, ordered, targeted] = [0, order, target];
  found.fill(0);
  for (const { tokens, depth } of rounds) {
    for (let d = 0; d < depth; d++, n++) {
      orders[n] = ordered;
      targets[n] = d === 0 ? targeted : -1;
      ordered += tokens;
    }
    targeted += tokens;
  }
  return ordered;
}

/** Assignments of a group, and how many of them may lie beside each other: no two of one expert. */
function abreastOf(members: readonly Member[], of: Assigned): { abreast: number; total: number } {
  const counts = members.map(({ expert }) => of.count(expert));
  const total = counts.reduce((sum, count) => sum + count, 0);
  const largest = Math.max(...counts);
  return { abreast: ABREAST.find((n) => n * largest <= total) ?? 1, total };
}

/** The last assignment has no weight. */
function rowsOf(members: readonly Member[], of: Assigned): Rows {
  const { abreast, total } = abreastOf(members, of);
  return { rows: Math.ceil((total + 1) / abreast), abreast, total };
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
