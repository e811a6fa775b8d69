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
 * Calls of so many tokens at most may add a group's results at once, for all tokens, as many of each as CUDA adds at once:
 * that spares six operations or more, and reads so many rows of no weight at most for it.
 */
export const AT_ONCE = { tokens: 512, depth: 8, idle: 5 * IDLE_ROWS };

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

/** A group, and for how many assignments there is less room. */
export type Written = (GroupRows | GroupFew) & { size: number; idle: number };

/** The order in which a group's assignments are computed and added. */
export class GroupOrder {
  /** Of each token, assignments that were counted so far, and where it lies in its round. */
  private readonly seen: Int32Array;
  private readonly places: Int32Array;
  /** How many tokens have a first, a second, … assignment. */
  private readonly sizes: Int32Array;
  private readonly columns: Columns;
  /** Assignments of a group one behind the other: those that lie beside each other are apart. */
  private readonly gathered: { slots: Int32Array; tokens: Int32Array; weights: Float32Array };

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
    const most = chunk * chosen;
    this.gathered = { slots: new Int32Array(most), tokens: new Int32Array(most), weights: new Float32Array(most) };
  }

  /**
   * Writes the members' assignments in a call of `n` tokens: lists, and weights behind them, from {@link WORDS} times `from` on.
   * They are added at once where few rows of no weight are read for that, else in rounds.
   * @param idle for so many such rows there is room
   * @returns what was written, in room for `size` assignments, of which `idle` are such rows
   */
  write(from: number, members: readonly Member[], of: Assigned, n: number, idle = AT_ONCE.idle): Written {
    const total = this.gather(members, of, n);
    const columns = this.sizes.includes(0) ? this.sizes.indexOf(0) : this.sizes.length;
    const more = Math.max(0, n * columns - total);
    const atOnce = n <= AT_ONCE.tokens && columns <= AT_ONCE.depth && more <= Math.min(idle, AT_ONCE.idle);
    if (!atOnce) return { ...this.writeRounds(from, members, of, n), idle: 0 };
    return { ...this.writeAtOnce(from, members, of, { n, columns, step: 1 }), idle: more };
  }

  private writeRounds(from: number, members: readonly Member[], of: Assigned, n: number): GroupRows & { size: number } {
    const shape = rowsOf(members, of);
    const { abreast } = shape;
    const count = shape.rows * abreast;
    const size = aligned(count);
    const ids = WORDS * from;
    const list = (i: number) => ids + i * size;
    const at = { ids, tokens: list(1), order: list(2), targets: list(4), weights: list(LISTS) };
    this.layOut(at, shape, members);
    const rounds = this.rounds(at, shape, n);
    return { ...at, count, abreast, rounds, size };
  }

  /** Writes the members' assignments in a call of few tokens. */
  writeFew(from: number, members: readonly Member[], of: Assigned, n: number): GroupFew & { size: number } {
    const total = this.gather(members, of, n);
    const columns = Math.min(this.sizes.length, members.length);
    return this.writeAtOnce(from, members, of, { n, columns, step: total <= STEP ? 1 : STEP });
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
  ): GroupFew & { size: number } {
    const { numbers, weights, seen, gathered } = this;
    const { abreast, total } = abreastOf(members, of);
    const multiple = Math.max(step, abreast);
    const count = Math.ceil(total / multiple) * multiple;
    const size = aligned(Math.max(count, n * columns));
    const ids = WORDS * from;
    const at = { ids, tokens: ids + size, order: ids + 2 * size, weights: ids + 3 * size };
    const shape = { rows: count / abreast, abreast, total };
    this.layOut(at, shape, members);
    seen.fill(0, 0, n);
    numbers.fill(0, at.order, at.order + n * columns);
    weights.fill(0, at.weights, at.weights + n * columns);
    for (let i = 0; i < total; i++) {
      const token = gathered.tokens[i]!;
      const target = token * columns + seen[token]!++;
      numbers[at.order + target] = placeOf(i, shape);
      weights[at.weights + target] = gathered.weights[i]!;
    }
    return { ...at, count, abreast, columns, n, size };
  }

  /** Puts the members' assignments one behind the other, and counts tokens that have a first, a second, … one. @returns how many there are */
  private gather(members: readonly Member[], of: Assigned, n: number): number {
    const { sizes, seen } = this;
    const { slots, tokens, weights } = this.gathered;
    let total = 0;
    for (const { expert, slot } of members) {
      const [start, count] = [of.start(expert), of.count(expert)];
      slots.fill(slot, total, total + count);
      tokens.set(of.rows.subarray(start, start + count), total);
      weights.set(of.weights.subarray(start, start + count), total);
      total += count;
    }
    sizes.fill(0);
    seen.fill(0, 0, n);
    for (let i = 0; i < total; i++) sizes[seen[tokens[i]!]!++]!++;
    return total;
  }

  /** Writes whose assignments lie where; the last are a token of an expert once more, of no use, at the end of rows that have not this expert. */
  private layOut(at: Pick<GroupRows, 'ids' | 'tokens'>, shape: Rows, members: readonly Member[]): void {
    const { numbers, gathered } = this;
    const { rows, abreast, total } = shape;
    let place = 0;
    for (let row = 0; row < rows; row++) {
      const next = place + abreast;
      for (let i = row; i < total; i += rows, place++) {
        numbers[at.ids + place] = gathered.slots[i]!;
        numbers[at.tokens + place] = gathered.tokens[i]!;
      }
      for (const filled = next - abreast; place < next; place++) {
        const used = numbers.subarray(at.ids + filled, at.ids + place);
        const { slot } = members.find((member) => !used.includes(member.slot))!;
        numbers[at.ids + place] = slot;
        numbers[at.tokens + place] = gathered.tokens[gathered.slots.indexOf(slot)]!;
      }
    }
  }

  /**
   * Writes the assignments' weights, and for each round where its tokens lie, and where their assignments do: that of no weight
   * where there is none.
   */
  private rounds(
    { tokens, order, targets, weights: from }: Pick<GroupRows, 'tokens' | 'order' | 'targets' | 'weights'>,
    { rows, abreast, total }: Rows,
    n: number,
  ): Round[] {
    const { numbers, weights, seen, places, columns, gathered } = this;
    const rounds = roundsOf(this.sizes);
    const ordered = columns.begin(rounds, order, targets);
    numbers.fill(rows * abreast - 1, order, ordered);
    weights.fill(0, from, from + rows * abreast);
    seen.fill(0, 0, n);
    for (let row = 0; row < rows; row++) {
      let place = row * abreast;
      for (let i = row; i < total; i += rows, place++) {
        const token = numbers[tokens + place]!;
        const nth = seen[token]!++;
        const target = columns.targets[nth]!;
        if (target >= 0) {
          places[token] = columns.found[nth]!++;
          numbers[target + places[token]!] = token;
        }
        numbers[columns.orders[nth]! + places[token]!] = place;
        weights[from + place] = gathered.weights[i]!;
      }
    }
    return rounds;
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

/** How many rows of assignments, how many lie beside each other in each, and how many there are. */
interface Rows {
  rows: number;
  abreast: number;
  total: number;
}

/** Experts one behind the other go down the rows, so that those beside each other differ. */
function placeOf(i: number, { rows, abreast }: Pick<Rows, 'rows' | 'abreast'>): number {
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
