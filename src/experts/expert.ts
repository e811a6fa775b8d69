import type { Graph } from '../native/ggml/graph.js';
import { contiguousStrides, type Extents, rowBytes, type Tensor } from '../native/ggml/tensor.js';
import {
  ACTIVATIONS,
  type ActivationName,
  type ByMatrix,
  eachMatrix,
  type InnerName,
  innerMatrices,
  type MatrixName,
} from './activations.js';

/** One matrix of an expert: a tensor, or one of the matrices of a three-dimensional one. */
export interface PlacedMatrix {
  tensor: Tensor;
  index?: number;
  /** Sizes in ggml's order where only part of the matrix is there, packed from its place's beginning. */
  packed?: readonly [number, number];
}

/** Inner rows [from, to) of an expert: rows of the inner matrices, columns of down. Shares are cut at multiples of 64. */
export interface RowRange {
  from: number;
  to: number;
}

/** An expert's matrices, ggml's order: the inner ones [hidden, width], down [width, hidden]. */
export interface PlacedExpert extends ByMatrix<PlacedMatrix> {
  /** One F32 vector, or a row of several: biases as `biasLayout` has them, or a factor for each matrix. */
  biases?: PlacedMatrix;
  /** The inner rows that are there, where the matrices are packed; biases are always whole. */
  part?: RowRange;
}

/** What an expert's sizes depend on. */
export interface ExpertSizes {
  hidden: number;
  width: number;
  activation: ActivationName;
}

/** An expert's biases lie in one vector: those of the inner matrices, then down's. Elements before each, and of all. */
export function biasLayout({ hidden, width, activation }: ExpertSizes): ByMatrix<number> & { size: number } {
  const inner = innerMatrices(activation);
  const before = eachMatrix(activation, (name) => (name === 'down' ? inner.length : inner.indexOf(name)) * width);
  return { ...before, size: before.down + hidden };
}

/** Numbers of the vector that goes with an expert's matrices: its biases, or a factor for each. */
export function vectorSize(spec: ExpertSizes & { biases?: unknown; scales?: unknown }): number {
  if (spec.biases) return biasLayout(spec).size;
  return spec.scales ? innerMatrices(spec.activation).length + 1 : 0;
}

/** An expert's vector in the host's memory. */
export function biasesAt({ tensor, index = 0 }: PlacedMatrix): { address: bigint; bytes: number } {
  const bytes = tensor.strides[1];
  return { address: tensor.address + BigInt(index * bytes), bytes };
}

function matrix(g: Graph, { tensor, index = 0, packed }: PlacedMatrix): Tensor {
  const ne: Extents = [packed?.[0] ?? tensor.ne[0], packed?.[1] ?? tensor.ne[1], 1, 1];
  return g.view(tensor, ne, index * tensor.strides[2], contiguousStrides(tensor.type, ne));
}

function columns(g: Graph, a: Tensor, { from, to }: RowRange): Tensor {
  return g.view(a, [to - from, a.ne[1], 1, 1], rowBytes(a.type, from));
}

/** An expert's biases for some of its inner rows; of all parts, the first has the one of down. */
function biasesOf(
  g: Graph,
  expert: PlacedExpert,
  activation: ActivationName,
  range?: RowRange,
): { [name in MatrixName]?: Tensor } {
  if (!expert.biases || hasFactors(expert.biases?.tensor, activation)) return {};
  const { tensor, index = 0 } = expert.biases;
  const hidden = expert.down.tensor.ne[1];
  const width = (tensor.ne[0] - hidden) / innerMatrices(activation).length;
  const { from, to } = range ?? { from: 0, to: width };
  const vector = (first: number, count: number) =>
    g.view(tensor, [count, 1, 1, 1], index * tensor.strides[1] + first * 4, [4, count * 4, count * 4, count * 4]);
  const before = biasLayout({ hidden, width, activation });
  const inner = (name: InnerName) => [name, vector(before[name]! + from, to - from)];
  const ofInner = Object.fromEntries(innerMatrices(activation).map(inner));
  return from === 0 ? { ...ofInner, down: vector(before.down, hidden) } : ofInner;
}

/** Whether its vector holds a factor for each matrix. */
export function hasFactors(biases: Tensor | undefined, activation: ActivationName): boolean {
  return biases?.ne[0] === innerMatrices(activation).length + 1;
}

/** The factor of what a matrix gives [1], where it has one. */
function factorOf(g: Graph, expert: PlacedExpert, activation: ActivationName, name: MatrixName): Tensor | undefined {
  if (!expert.biases || !hasFactors(expert.biases?.tensor, activation)) return undefined;
  const { tensor, index = 0 } = expert.biases;
  const at = [...innerMatrices(activation), 'down'].indexOf(name);
  return g.view(tensor, [1, 1, 1, 1], index * tensor.strides[1] + at * 4, [4, 4, 4, 4]);
}

/**
 * One expert for x [hidden, n] → [hidden, n]: down(activation(gate(x), up(x))), or what else the activation is made of;
 * biases are added, or factors multiplied, where it has them.
 * @param range computes only the part of the result that these inner rows give; the parts of all rows sum to the whole
 */
export function buildExpert(
  g: Graph,
  expert: PlacedExpert,
  activation: ActivationName,
  x: Tensor,
  range?: RowRange,
): Tensor {
  const biases = biasesOf(g, expert, activation, range ?? expert.part);
  const multiply = (name: MatrixName, weight: Tensor, input: Tensor) => {
    const factor = factorOf(g, expert, activation, name);
    const product = factor ? g.multiply(g.matmul(weight, input), factor) : g.matmul(weight, input);
    return biases[name] ? g.add(product, biases[name]) : product;
  };
  const inner = (name: InnerName) => {
    const whole = matrix(g, expert[name]!);
    return [name, multiply(name, range ? g.rows(whole, range.from, range.to - range.from) : whole, x)];
  };
  const products = Object.fromEntries(innerMatrices(activation).map(inner)) as Record<InnerName, Tensor>;
  const hidden = ACTIVATIONS[activation].build(g, products);
  const down = matrix(g, expert.down);
  return multiply('down', range ? columns(g, down, range) : down, hidden);
}

/** What experts on one device read and write. */
export interface ExpertIo {
  /** Normalised hidden states [hidden, chunk]. */
  input: Tensor;
  /** What every expert's weighted result is added to [hidden, chunk]. */
  output: Tensor;
  /** Token numbers, I32, sorted by expert. */
  rows: Tensor;
  /** Routing weights, F32: sorted like `rows`; for a call of one token, at the expert's own number. */
  weights: Tensor;
  /** First of all in a graph that reads `count` of both from `start` on. */
  fetch: (g: Graph, start: number, count: number) => void;
}

/** Nodes and views of one expert's graph, at most. */
export const EXPERT_GRAPH_CAPACITY = 40;

/** output += weight · expert(input), for a call of one token. `at` is where its weight lies. */
export function buildForOne(
  g: Graph,
  expert: PlacedExpert,
  activation: ActivationName,
  io: ExpertIo,
  at: number,
  range?: RowRange,
): void {
  io.fetch(g, at, 1);
  const result = buildExpert(g, expert, activation, g.rows(io.input, 0, 1), range);
  g.compute(g.addTo(g.rows(io.output, 0, 1), g.multiply(result, g.slice(io.weights, at, 1))));
}

/** output[rows] += weights · expert(input[rows]), for the `count` assignments from `start` on. */
export function buildForRows(
  g: Graph,
  expert: PlacedExpert,
  activation: ActivationName,
  io: ExpertIo,
  start: number,
  count: number,
  range?: RowRange,
): void {
  io.fetch(g, start, count);
  const rows = g.slice(io.rows, start, count);
  const result = buildExpert(g, expert, activation, g.getRows(io.input, rows), range);
  const weighted = g.multiply(result, g.reshape(g.slice(io.weights, start, count), 1, count));
  g.compute(g.setRows(io.output, g.add(g.getRows(io.output, rows), weighted), rows));
}
