import type { Graph } from '../../native/ggml/graph.js';
import type { Tensor } from '../../native/ggml/tensor.js';
import type { Block, HyperConnection, Step } from '../model.js';
import type { Declarations } from '../parameters.js';

export interface SinkhornConnectionOptions {
  hidden: number;
  /** Of the norm before the weights, and what keeps divisors from 0. */
  epsilon: number;
  divisorEpsilon: number;
  iterations: number;
}

/** Residual streams: ggml's operation has so many. */
export const STREAMS = 4;
/** What a connection weighs by: its result for each stream, and each stream for each. */
export const CONNECTION_WEIGHTS = STREAMS + STREAMS * STREAMS;

/**
 * What a block reads is a sum of the residual streams; its result goes to each stream to a degree of its own, and streams
 * mix by a matrix whose rows and columns sum to 1 (manifold-constrained hyper-connections, arXiv 2512.24880; transformers,
 * models/deepseek_v4). Tensors `${prefix}_{fn, base, scale}`.
 */
export function sinkhornConnection(
  declare: Declarations,
  prefix: string,
  options: SinkhornConnectionOptions,
): HyperConnection {
  const { hidden, epsilon, divisorEpsilon, iterations } = options;
  const width = hidden * STREAMS;
  const mixing = declare.exactMatrix(`${prefix}_fn`, STREAMS + CONNECTION_WEIGHTS, width);
  const base = declare.vector(`${prefix}_base`, STREAMS + CONNECTION_WEIGHTS);
  const scale = declare.vector(`${prefix}_scale`, 3);
  return {
    read(g, x, supports) {
      const n = x.ne[1];
      const mixes = g.matmul(mixing.tensor, g.rmsNorm(x, undefined, epsilon));
      const part = (which: number, from: number, count: number) =>
        affine(g, g.columns(mixes, from, count), g.slice(scale.tensor, which, 1), g.slice(base.tensor, from, count));
      const own = g.scale(g.sigmoid(part(0, 0, STREAMS)), 1, divisorEpsilon);
      const given = g.scale(g.sigmoid(part(1, STREAMS, STREAMS)), 2);
      const whole = g.sinkhorn(mixes, scale.tensor, base.tensor, divisorEpsilon, iterations);
      const mixed = supports(whole)
        ? whole
        : balanced(g, part(2, 2 * STREAMS, STREAMS * STREAMS), divisorEpsilon, iterations);
      const weights = g.concat(given, g.reshape(mixed, STREAMS * STREAMS, n), 0);
      return { input: weighedSum(g, x, own, supports), weights };
    },
    write(g, x, result, weights, supports) {
      const n = x.ne[1];
      const streams = g.reshape(x, hidden, STREAMS, n);
      const given = g.contiguous(g.columns(weights, 0, STREAMS));
      const mixed = g.contiguous(g.columns(weights, STREAMS, STREAMS * STREAMS));
      const comb = g.reshape(mixed, STREAMS, STREAMS, n);
      const whole = g.mixStreams(result, streams, given, comb);
      const written = supports(whole) ? whole : mix(g, result, streams, given, comb);
      return g.reshape(written, hidden * STREAMS, n);
    },
  };
}

/** What the head reads of the streams: such a sum, and the norm of that: [hidden · streams, n] → [hidden, n]. */
export function streamSum(
  declare: Declarations,
  prefix: string,
  { hidden, epsilon, divisorEpsilon }: Omit<SinkhornConnectionOptions, 'iterations'>,
  norm: Block,
): Block {
  const mixing = declare.exactMatrix(`${prefix}_fn`, STREAMS, hidden * STREAMS);
  const base = declare.vector(`${prefix}_base`, STREAMS);
  const scale = declare.vector(`${prefix}_scale`, 1);
  return (g, x) => {
    const mixes = g.matmul(mixing.tensor, g.rmsNorm(x, undefined, epsilon));
    const own = g.scale(g.sigmoid(affine(g, mixes, scale.tensor, base.tensor)), 1, divisorEpsilon);
    return norm(
      g,
      weighedSum(g, x, own, () => false),
    );
  };
}

/** a · factor + bias: a [count, n], factor [1], bias [count]. */
function affine(g: Graph, a: Tensor, factor: Tensor, bias: Tensor): Tensor {
  return g.add(g.multiply(g.contiguous(a), factor), bias);
}

/** Σ over streams: x [hidden · streams, n], weights [streams, n] → [hidden, n]. */
function weighedSum(g: Graph, x: Tensor, weights: Tensor, supports: Step['supports']): Tensor {
  const [width, n] = x.ne;
  const hidden = width / STREAMS;
  const whole = g.weighStreams(g.reshape(x, hidden, STREAMS, n), weights);
  if (supports(whole)) return whole;
  const each = Array.from({ length: STREAMS }, (_, s) =>
    g.multiply(g.contiguous(g.columns(x, s * hidden, hidden)), g.contiguous(g.columns(weights, s, 1))),
  );
  return each.reduce((a, b) => g.add(a, b));
}

/** As Graph.sinkhorn, of logits [to · from, n]: [to, from, n]. */
function balanced(g: Graph, logits: Tensor, epsilon: number, iterations: number): Tensor {
  const transposed = (a: Tensor) => g.contiguous(g.permute(a, [1, 0, 2, 3]));
  /** Divided by the sums over the innermost dimension, and the other one moved there. */
  const divided = (a: Tensor) => transposed(g.divide(a, g.scale(g.sumRows(a), 1, epsilon)));
  const square = g.reshape(logits, STREAMS, STREAMS, logits.ne[1]);
  let byFrom = transposed(g.scale(g.softMax(square), 1, epsilon));
  for (let i = 1; i < iterations; i++) byFrom = divided(divided(byFrom));
  return divided(byFrom);
}

/** As Graph.mixStreams. */
function mix(g: Graph, x: Tensor, streams: Tensor, post: Tensor, comb: Tensor): Tensor {
  const [hidden, , n] = streams.ne;
  const spread = (a: Tensor) => g.repeat(g.reshape(a, hidden, 1, n), [hidden, STREAMS, n, 1]);
  const weighed = (a: Tensor, weights: Tensor) => g.multiply(spread(a), g.reshape(weights, 1, STREAMS, n));
  const flat = g.reshape(streams, hidden * STREAMS, n);
  const square = g.reshape(comb, STREAMS * STREAMS, n);
  return Array.from({ length: STREAMS }, (_, from) =>
    weighed(
      g.contiguous(g.columns(flat, from * hidden, hidden)),
      g.contiguous(g.columns(square, from * STREAMS, STREAMS)),
    ),
  ).reduce((sum, each) => g.add(sum, each), weighed(x, post));
}
