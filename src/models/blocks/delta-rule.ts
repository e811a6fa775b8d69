import type { Graph } from '../../native/ggml/graph.js';
import type { Tensor } from '../../native/ggml/tensor.js';
import { unsupported } from '../config.js';

/** Sizes of a head that every device computes with. */
const SIZES: readonly number[] = [16, 32, 64, 128];

/** Of normalised queries and keys, in the references. */
const UNIT_EPSILON = 1e-6;

/** The size in which heads are computed, filled with zeros. @throws FiddlerError `unsupported`, naming the key */
export function deltaSize(headSize: number, key: string): number {
  const size = SIZES.find((each) => each >= headSize);
  return size ?? unsupported(key, `is ${headSize}, more than ${SIZES.at(-1)}`);
}

/** Heads [size, …] of length 1. */
export function unitHeads(g: Graph, heads: Tensor): Tensor {
  const [size] = heads.ne;
  return g.scale(g.rmsNorm(heads, undefined, UNIT_EPSILON / size), 1 / Math.sqrt(size));
}

/** What Graph.gatedDeltaNet takes. */
export interface DeltaRule {
  q: Tensor;
  k: Tensor;
  v: Tensor;
  decay: Tensor;
  beta: Tensor;
  state: Tensor;
  /** Elements of a value before it was filled up. */
  valueSize: number;
}

/** Computes the gated delta rule of a group and keeps its new state: [valueSize, heads, tokens · sequences]. */
export function deltaRule(g: Graph, { q, k, v, decay, beta, state, valueSize }: DeltaRule): Tensor {
  const [size, heads, tokens, sequences] = v.ne;
  const result = g.gatedDeltaNet(q, k, v, decay, beta, state);
  const strides = [4, 4 * size, 4 * size * size, 4 * size * size * heads] as const;
  const next = g.view(result, state.ne, tokens * sequences * result.strides[1], strides);
  g.compute(g.copy(next, state));
  const n = tokens * sequences;
  const out = g.view(result, [valueSize, heads, n, 1], 0, [4, 4 * size, result.strides[1], 0]);
  return size > valueSize ? g.contiguous(out) : out;
}
