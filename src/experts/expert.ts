import type { Graph } from '../ggml/graph.js';
import { contiguousStrides, type Extents, rowBytes, type Tensor } from '../ggml/tensor.js';

/** One matrix of an expert: a tensor, or one of the matrices of a three-dimensional one. */
export interface PlacedMatrix {
  tensor: Tensor;
  index?: number;
  /** Sizes in ggml's order where only part of the matrix is there, packed from its place's beginning. */
  packed?: readonly [number, number];
}

/** Inner rows [from, to) of an expert: rows of gate and up, columns of down. Shares are cut at multiples of 64. */
export interface RowRange {
  from: number;
  to: number;
}

/** An expert's matrices, ggml's order: gate and up [hidden, width], down [width, hidden]. */
export interface PlacedExpert {
  gate: PlacedMatrix;
  up: PlacedMatrix;
  down: PlacedMatrix;
  /** One F32 vector as `biasLayout` has it, or a row of several. */
  biases?: PlacedMatrix;
  /** The inner rows that are there, where the matrices are packed; biases are always whole. */
  part?: RowRange;
}

export const MATRICES = ['gate', 'up', 'down'] as const;
export type MatrixName = (typeof MATRICES)[number];

/** An expert's biases lie in one vector: gate's, up's, down's. Elements before each, and of all. */
export function biasLayout({ hidden, width }: { hidden: number; width: number }): Record<MatrixName | 'size', number> {
  return { gate: 0, up: width, down: 2 * width, size: 2 * width + hidden };
}

/** gpt-oss's min(gate, limit) · sigmoid(alpha gate) · (clamp(up, ±limit) + 1). */
export const CLAMPED_SWIGLU = { alpha: 1.702, limit: 7 };

/** How an expert's inner values come from gate and up; each [width, n]. */
export const ACTIVATIONS = {
  silu: (g: Graph, gate: Tensor, up: Tensor): Tensor => g.swiglu(gate, up),
  'swiglu-clamped': (g: Graph, gate: Tensor, up: Tensor): Tensor =>
    g.clampedSwiglu(gate, up, CLAMPED_SWIGLU.alpha, CLAMPED_SWIGLU.limit),
};
export type ActivationName = keyof typeof ACTIVATIONS;

function matrix(g: Graph, { tensor, index = 0, packed }: PlacedMatrix): Tensor {
  const ne: Extents = [packed?.[0] ?? tensor.ne[0], packed?.[1] ?? tensor.ne[1], 1, 1];
  return g.view(tensor, ne, index * tensor.strides[2], contiguousStrides(tensor.type, ne));
}

function columns(g: Graph, a: Tensor, { from, to }: RowRange): Tensor {
  return g.view(a, [to - from, a.ne[1], 1, 1], rowBytes(a.type, from));
}

/** An expert's biases for some of its inner rows; of all parts, the first has the one of down. */
function biasesOf(g: Graph, expert: PlacedExpert, range?: RowRange): Partial<Record<MatrixName, Tensor>> {
  if (!expert.biases) return {};
  const { tensor, index = 0 } = expert.biases;
  const hidden = expert.down.tensor.ne[1];
  const width = (tensor.ne[0] - hidden) / 2;
  const { from, to } = range ?? { from: 0, to: width };
  const vector = (first: number, count: number) =>
    g.view(tensor, [count, 1, 1, 1], index * tensor.strides[1] + first * 4, [4, count * 4, count * 4, count * 4]);
  const before = biasLayout({ hidden, width });
  return {
    gate: vector(before.gate + from, to - from),
    up: vector(before.up + from, to - from),
    down: from === 0 ? vector(before.down, hidden) : undefined,
  };
}

/**
 * One expert for x [hidden, n] → [hidden, n]: down(activation(gate(x), up(x))), biases added where it has them.
 * @param range computes only the part of the result that these inner rows give; the parts of all rows sum to the whole
 */
export function buildExpert(
  g: Graph,
  expert: PlacedExpert,
  activation: ActivationName,
  x: Tensor,
  range?: RowRange,
): Tensor {
  const biases = biasesOf(g, expert, range ?? expert.part);
  const multiply = (name: MatrixName, weight: Tensor, input: Tensor) => {
    const product = g.matmul(weight, input);
    return biases[name] ? g.add(product, biases[name]) : product;
  };
  const inner = (name: 'gate' | 'up') => {
    const whole = matrix(g, expert[name]);
    return multiply(name, range ? g.rows(whole, range.from, range.to - range.from) : whole, x);
  };
  const hidden = ACTIVATIONS[activation](g, inner('gate'), inner('up'));
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
}

/** Nodes and views of one expert's graph, at most. */
export const EXPERT_GRAPH_CAPACITY = 32;

/** output += weight · expert(input), for a call of one token. `at` is where its weight lies. */
export function buildForOne(
  g: Graph,
  expert: PlacedExpert,
  activation: ActivationName,
  io: ExpertIo,
  at: number,
  range?: RowRange,
): void {
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
  const rows = g.slice(io.rows, start, count);
  const result = buildExpert(g, expert, activation, g.getRows(io.input, rows), range);
  const weighted = g.multiply(result, g.reshape(g.slice(io.weights, start, count), 1, count));
  g.compute(g.setRows(io.output, g.add(g.getRows(io.output, rows), weighted), rows));
}
