import type { Graph } from '../ggml/graph.js';
import type { Tensor } from '../ggml/tensor.js';

/** One matrix of an expert: a tensor, or one of the matrices of a three-dimensional one. */
export interface PlacedMatrix {
  tensor: Tensor;
  index?: number;
}

/** An expert's matrices, ggml's order: gate and up [hidden, width], down [width, hidden]. */
export interface PlacedExpert {
  gate: PlacedMatrix;
  up: PlacedMatrix;
  down: PlacedMatrix;
}

export const MATRICES = ['gate', 'up', 'down'] as const;
export type MatrixName = (typeof MATRICES)[number];

/** How an expert's inner values come from gate and up; each [width, n]. */
export const ACTIVATIONS = {
  silu: (g: Graph, gate: Tensor, up: Tensor): Tensor => g.swiglu(gate, up),
};
export type ActivationName = keyof typeof ACTIVATIONS;

function matrix(g: Graph, { tensor, index }: PlacedMatrix): Tensor {
  if (index === undefined) return tensor;
  return g.view(tensor, [tensor.ne[0], tensor.ne[1], 1, 1], index * tensor.strides[2]);
}

/** One expert for x [hidden, n] → [hidden, n]: down(activation(gate(x), up(x))). */
export function buildExpert(g: Graph, expert: PlacedExpert, activation: ActivationName, x: Tensor): Tensor {
  const gate = g.matmul(matrix(g, expert.gate), x);
  const up = g.matmul(matrix(g, expert.up), x);
  return g.matmul(matrix(g, expert.down), ACTIVATIONS[activation](g, gate, up));
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
export function buildForOne(g: Graph, expert: PlacedExpert, activation: ActivationName, io: ExpertIo, at: number): void {
  const result = buildExpert(g, expert, activation, g.rows(io.input, 0, 1));
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
): void {
  const rows = g.slice(io.rows, start, count);
  const result = buildExpert(g, expert, activation, g.getRows(io.input, rows));
  const weighted = g.multiply(result, g.reshape(g.slice(io.weights, start, count), 1, count));
  g.compute(g.setRows(io.output, g.add(g.getRows(io.output, rows), weighted), rows));
}
