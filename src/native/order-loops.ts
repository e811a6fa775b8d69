import type { Calls } from './calls.js';

/** A group's assignments one behind the other: number of the expert in the slab, token, and weight. */
export interface Gathered {
  slots: Int32Array;
  tokens: Int32Array;
  weights: Float32Array;
}

/** Rows of assignments, how many lie beside each other in each, and how many there are: the last row may have places left. */
export interface Rows {
  rows: number;
  abreast: number;
  total: number;
}

/** Where the n-th assignment of each token of a call is named, by n. */
export interface NamedAt {
  /** Where the list of the n-th ones begins. */
  orders: Int32Array;
  /** Where its round names its tokens, if n is the first of the round; else −1. */
  targets: Int32Array;
  /** Tokens of a round that were named so far, by its first n. */
  found: Int32Array;
}

/**
 * The loops over all assignments of a call that order them. They run while the accelerator waits, so that native code has
 * them where it was built. Experts lie down the columns of rows, so that those beside each other differ; what is written goes row by
 * row, so that it lies together.
 */
export interface OrderLoops {
  /** How often each id occurs; −1 stands for none. */
  count(ids: Int32Array, counts: Int32Array): void;
  /** Puts tokens and weights of ids [tokens, chosen] where `nexts` says for each expert, which then says where its next goes. */
  sort(
    ids: Int32Array,
    weights: Float32Array,
    chosen: number,
    nexts: Int32Array,
    to: Pick<Gathered, 'weights'> & { rows: Int32Array },
  ): void;
  /**
   * Gathers a group's assignments.
   * @param members for each its slot, where its assignments begin in `of`, and how many they are
   * @param seen scratch, for each token of the call
   * @param sizes is told how many tokens have a first, a second, … assignment
   */
  gather(
    members: Int32Array,
    of: { rows: Int32Array; weights: Float32Array },
    to: Gathered,
    seen: Int32Array,
    sizes: Int32Array,
  ): void;
  /** Writes ids and tokens [rows, abreast]; what is left of the last row is filled up with slots that it has not. */
  layOut(ids: Int32Array, tokens: Int32Array, shape: Rows, gathered: Gathered): void;
  /**
   * Writes the weights [rows, abreast], where each round's tokens lie, and where their assignments do.
   * @param tokens as they are laid out; `seen` and `places`: scratch, for each token of the call
   */
  rounds(
    numbers: Int32Array,
    weights: Float32Array,
    tokens: Int32Array,
    shape: Rows,
    gathered: Gathered,
    at: NamedAt,
    scratch: { seen: Int32Array; places: Int32Array },
  ): void;
  /** Writes [tokens, columns]: where each token's assignments lie, and their weights, 0 where it has no more. */
  atOnce(
    order: Int32Array,
    weights: Float32Array,
    columns: number,
    shape: Rows,
    gathered: Gathered,
    seen: Int32Array,
  ): void;
}

/** The library's functions for them, as `fiddler_experts.h` declares them. */
export const ORDER_DECLARATIONS = {
  orderCount: 'int fk_order_count(const void* ids, int n, int experts, void* counts)',
  orderSort:
    'int fk_order_sort(const void* ids, const void* weights, int tokens, int chosen, void* nexts, void* rows, void* sorted)',
  orderGather:
    'int fk_order_gather(const void* members, int count, const void* rows, const void* weights, int n, void* slots, void* tokens, void* gathered, void* seen, void* sizes, int depth)',
  orderLayOut:
    'int fk_order_lay_out(void* ids, void* tokens, int rows, int abreast, int total, const void* slots, const void* gathered)',
  orderRounds:
    'int fk_order_rounds(void* numbers, void* weights, const void* tokens, int rows, int abreast, int total, int n, const void* gathered, const void* orders, const void* targets, void* found, void* seen, void* places)',
  orderAtOnce:
    'int fk_order_at_once(void* order, void* weights, int rows, int abreast, int total, int columns, int n, const void* tokens, const void* gathered, void* seen)',
} as const;

/** In native code. @param check throws where a status says so */
export function nativeLoops(
  api: Calls<keyof typeof ORDER_DECLARATIONS>,
  check: (status: number, call: string) => void,
): OrderLoops {
  return {
    count: (ids, counts) => check(api.orderCount(ids, ids.length, counts.length, counts), 'counting'),
    sort: (ids, weights, chosen, nexts, to) =>
      check(api.orderSort(ids, weights, ids.length / chosen, chosen, nexts, to.rows, to.weights), 'sorting'),
    gather: (members, of, { slots, tokens, weights }, seen, sizes) => {
      const count = members.length / 3;
      const to = [slots, tokens, weights, seen, sizes, sizes.length];
      check(api.orderGather(members, count, of.rows, of.weights, seen.length, ...to), 'gathering');
    },
    layOut: (ids, tokens, { rows, abreast, total }, gathered) =>
      check(api.orderLayOut(ids, tokens, rows, abreast, total, gathered.slots, gathered.tokens), 'laying out'),
    rounds: (numbers, weights, tokens, { rows, abreast, total }, gathered, at, { seen, places }) => {
      const { orders, targets, found } = at;
      const lists = [gathered.weights, orders, targets, found, seen, places];
      check(api.orderRounds(numbers, weights, tokens, rows, abreast, total, seen.length, ...lists), 'ordering rounds');
    },
    atOnce: (order, weights, columns, { rows, abreast, total }, gathered, seen) => {
      const lists = [gathered.tokens, gathered.weights, seen];
      check(api.orderAtOnce(order, weights, rows, abreast, total, columns, seen.length, ...lists), 'ordering');
    },
  };
}
