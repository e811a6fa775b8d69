import type { Graph } from '../native/ggml/graph.js';
import { contiguousStrides, type Tensor } from '../native/ggml/tensor.js';
import {
  ACTIVATIONS,
  type ActivationName,
  type InnerName,
  innerMatrices,
  type MatrixName,
  mapMatrices,
} from './activations.js';
import { biasLayout, hasFactors } from './expert.js';
import type { Slab } from './resident-experts.js';

/** Nodes and views of a group's graph, at most; and those of each further expert of a token. */
const GROUP_CAPACITY = 48;
const CHOICE_CAPACITY = 8;

export function groupCapacity(choices: number): number {
  return GROUP_CAPACITY + choices * CHOICE_CAPACITY;
}

/** A slab's matrix as ggml sees it, which knows no other distances than those without gaps. */
function matrices(g: Graph, tensor: Tensor): Tensor {
  const { type, ne, strides } = tensor;
  return strides[2] === contiguousStrides(type, ne)[2] ? tensor : g.compute(g.view(tensor, ne, 0, strides));
}

/**
 * Experts of a slab, each row by one of them: x [hidden, k, n] or [hidden, 1, n], ids I32 [k, n], numbers in the slab → [hidden, k, n]
 * (ggml's order). As {@link buildExpert} computes each.
 * @param weights factors of the results [1, k, n], where there are any: of inner values, which are fewer, unless a bias follows
 */
function buildGroup(
  g: Graph,
  slab: Slab,
  activation: ActivationName,
  x: Tensor,
  ids: Tensor,
  weights?: Tensor,
): Tensor {
  const placed = mapMatrices(slab, (tensor) => matrices(g, tensor));
  const behind = vectors(g, slab, activation, ids);
  const multiply = (name: MatrixName, input: Tensor) => behind(name, g.matmulById(placed[name]!, input, ids));
  const each = (name: InnerName) => [name, multiply(name, x)];
  const products = slab.inner
    ? halves(g, behind('gate', g.matmulById(matrices(g, slab.inner), x, ids)))
    : (Object.fromEntries(innerMatrices(activation).map(each)) as Record<InnerName, Tensor>);
  const values = ACTIVATIONS[activation].build(g, products);
  if (!weights) return multiply('down', values);
  return slab.biases ? g.multiply(multiply('down', values), weights) : multiply('down', g.multiply(values, weights));
}

/** What gate and up give, from the product of both as one matrix [2 width, k, n]. */
function halves(g: Graph, product: Tensor): Record<InnerName, Tensor> {
  const [both, k, n] = product.ne;
  const half = (from: number) => g.view(product, [both / 2, k, n, 1], from * product.strides[0]);
  return { gate: half(0), up: half(both / 2) } as Record<InnerName, Tensor>;
}

/** What follows the product of a matrix, or of gate and up as one: its bias, its factor, or nothing. */
function vectors(g: Graph, { biases, down }: Slab, activation: ActivationName, ids: Tensor) {
  if (!biases) return (_: MatrixName, product: Tensor) => product;
  const [size, count] = [biases.ne[0], biases.ne[1]];
  const rows = (from: number, length: number) => g.view(biases, [length, count, 1, 1], from * 4);
  if (hasFactors(biases, activation)) {
    const names = [...innerMatrices(activation), 'down'];
    const flat = g.reshape(ids, ids.ne[0] * ids.ne[1]);
    return (name: MatrixName, product: Tensor) => {
      const factors = g.getRows(rows(names.indexOf(name), 1), flat);
      return g.multiply(product, g.reshape(factors, 1, ids.ne[0], ids.ne[1]));
    };
  }
  const hidden = down.ne[1];
  const width = (size - hidden) / innerMatrices(activation).length;
  const before = biasLayout({ hidden, width, activation });
  return (name: MatrixName, product: Tensor) => g.addById(product, rows(before[name]!, product.ne[0]), ids);
}

/** What a group's graph reads and writes. */
export interface GroupIo {
  /** Normalised hidden states [hidden, chunk]. */
  input: Tensor;
  /** What every expert's weighted result is added to [hidden, chunk]. */
  output: Tensor;
  /** I32: numbers of experts in the slab, and what else is told in whole numbers. */
  numbers: Tensor;
  /** F32: routing weights. */
  weights: Tensor;
  /** First of all in a graph that reads `count` words of both, which are the same memory, from `from` on. */
  fetch: (g: Graph, from: number, count: number) => void;
}

/** Where a group's assignments lie in `numbers` and `weights`. */
export interface GroupRange {
  ids: number;
  weights: number;
  count: number;
}

/**
 * Assignments of a group in a call of several tokens: `count` of them, `abreast` in each row, all of different experts; the
 * last may have no token and the weight 0.
 */
export interface GroupRows extends GroupRange {
  abreast: number;
  /** Where the token of each lies. */
  tokens: number;
  /**
   * Where each round's tokens lie, the rounds one behind the other, and where their assignments are named again: each token's
   * first, then each token's second, and so on, so that no row of the output is written twice at once.
   */
  targets: number;
  order: number;
  rounds: readonly Round[];
}

/** Additions of as many tokens' results, of each token so many. */
export interface Round {
  tokens: number;
  depth: number;
}

/** How many words a group's graph reads, from its first on. */
export function wordsOf(group: GroupRows | GroupFew): number {
  return group.weights - group.ids + ('rounds' in group ? group.count : group.n * group.columns);
}

/**
 * Assignments of a group that are added at once, so that as few numbers as can be say how its graph looks: `count` of them,
 * `abreast` in each row, all of different experts; the last may be of no use.
 */
export interface GroupFew extends Omit<GroupRange, 'weights'> {
  abreast: number;
  /** Where the token of each lies. */
  tokens: number;
  /**
   * Where those of each of `n` tokens are named, as many as `columns`; and where their weights lie, 0 where a token has no
   * more.
   */
  order: number;
  weights: number;
  n: number;
  columns: number;
}

/**
 * Σ over k of weights · results: [hidden, k, n], [1, k, n] → [hidden, n]. CUDA computes that at once where the graph keeps the
 * memory of results, and those of each of the k are a view over all tokens.
 */
function weightedSum(g: Graph, results: Tensor, weights: Tensor): Tensor {
  const [hidden, k, n] = results.ne;
  const weighted = g.multiply(results, weights);
  const [element, one, all] = weighted.strides;
  const of = (i: number) => g.view(weighted, [hidden, n, 1, 1], i * one, [element, all, n * all, n * all]);
  let sum = of(0);
  for (let i = 1; i < k; i++) sum = g.add(sum, of(i));
  return sum;
}

/** a + each of the others. CUDA adds up to eight at once where nothing, not even a view, comes between them in the graph. */
function addAll(g: Graph, a: Tensor, others: readonly Tensor[]): Tensor {
  for (const other of others) g.compute(other);
  return others.reduce((sum, other) => g.add(sum, other), a);
}

/** output += Σ weights · expert(input), for a call of one token. */
export function buildGroupForOne(g: Graph, slab: Slab, activation: ActivationName, io: GroupIo, at: GroupRange): void {
  const { count } = at;
  io.fetch(g, at.ids, at.weights + count - at.ids);
  const ids = g.reshape(g.slice(io.numbers, at.ids, count), count, 1);
  const results = buildGroup(g, slab, activation, g.rows(io.input, 0, 1), ids);
  const sum = weightedSum(g, g.output(results), g.reshape(g.slice(io.weights, at.weights, count), 1, count));
  g.compute(g.addTo(g.rows(io.output, 0, 1), sum));
}

/** What each of a group's assignments gives [hidden, count]. @param weights where their weights lie, if they are to count */
export function buildAssigned(
  g: Graph,
  slab: Slab,
  activation: ActivationName,
  { input, numbers, weights: all }: GroupIo,
  { ids: first, tokens, count, abreast }: Pick<GroupFew, 'ids' | 'tokens' | 'count' | 'abreast'>,
  weights?: number,
): Tensor {
  const hidden = input.ne[0];
  const rows = count / abreast;
  const x = g.reshape(g.getRows(input, g.slice(numbers, tokens, count)), hidden, abreast, rows);
  const ids = g.reshape(g.slice(numbers, first, count), abreast, rows);
  const factors = weights === undefined ? undefined : g.reshape(g.slice(all, weights, count), 1, abreast, rows);
  return g.reshape(buildGroup(g, slab, activation, x, ids, factors), hidden, count);
}

/** output[first n] += Σ weights · expert(input[first n]). */
function buildGroupForFew(g: Graph, slab: Slab, activation: ActivationName, io: GroupIo, few: GroupFew): void {
  const { order, weights, n, columns } = few;
  const all = n * columns;
  io.fetch(g, few.ids, wordsOf(few));
  const results = buildAssigned(g, slab, activation, io, few);
  const each = g.output(g.getRows(results, g.slice(io.numbers, order, all)));
  const byToken = g.reshape(each, each.ne[0], columns, n);
  const sum = weightedSum(g, byToken, g.reshape(g.slice(io.weights, weights, all), 1, columns, n));
  g.compute(g.addTo(g.rows(io.output, 0, n), sum));
}

/** output[tokens] += Σ weights · expert(input[tokens]), of a call of several tokens. */
export function buildGroupForSeveral(
  g: Graph,
  slab: Slab,
  activation: ActivationName,
  io: GroupIo,
  group: GroupRows | GroupFew,
): void {
  if ('rounds' in group) buildGroupForRows(g, slab, activation, io, group);
  else buildGroupForFew(g, slab, activation, io, group);
}

/** output[tokens] += Σ weights · expert(input[tokens]). */
function buildGroupForRows(g: Graph, slab: Slab, activation: ActivationName, io: GroupIo, rows: GroupRows): void {
  const { weights, order, targets, rounds } = rows;
  io.fetch(g, rows.ids, wordsOf(rows));
  const weighted = buildAssigned(g, slab, activation, io, rows, weights);
  let output = io.output;
  let [ordered, targeted] = [order, targets];
  for (const { tokens: size, depth } of rounds) {
    const target = g.slice(io.numbers, targeted, size);
    const added = g.getRows(weighted, g.slice(io.numbers, ordered, size * depth));
    const columns = Array.from({ length: depth }, (_, d) => g.rows(added, d * size, size));
    output = g.compute(g.setRows(output, addAll(g, g.getRows(output, target), columns), target));
    ordered += size * depth;
    targeted += size;
  }
}
