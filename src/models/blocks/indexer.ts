import type { Graph } from '../../native/ggml/graph.js';
import type { Tensor } from '../../native/ggml/tensor.js';
import type { Step, StepGroup } from '../model.js';

/** What an indexer has the tokens of a group attend to. */
export interface Chosen {
  /** F16 [rows, tokens, 1, sequences]: 0 where a token attends to a row, −∞ elsewhere. */
  mask: Tensor;
  /** Where only these rows are read: those of a cache's part [width, rows, sequences] → F32 [width, chosen, sequences]. */
  gather?: (written: Tensor) => Tensor;
}

/**
 * Chooses what tokens attend to, of what attention reads: normalised hidden states [hidden, n]. For each group; undefined
 * where that is all that is before them.
 */
export type Indexer = (g: Graph, x: Tensor, step: Step) => (group: StepGroup) => Chosen | undefined;

/**
 * Σ over heads of weights · relu(q·k), weights 1 by default: k [size, rows, sequences], q [size, heads, tokens, sequences],
 * weights [heads, tokens, sequences] → [rows, tokens, sequences].
 */
export function rectifiedScores(g: Graph, k: Tensor, q: Tensor, weights?: Tensor): Tensor {
  const [size, heads, tokens, sequences] = q.ne;
  const rows = k.ne[1];
  const products = g.matmul(k, g.reshape(g.contiguous(q), size, heads * tokens, sequences));
  const scores = g.reshape(g.relu(products), rows, heads, tokens, sequences);
  const byHead = g.contiguous(g.permute(scores, [1, 0, 2, 3]));
  const weighed = weights ? g.multiply(byHead, g.reshape(weights, heads, 1, tokens, sequences)) : byHead;
  return g.reshape(g.sumRows(weighed), rows, tokens, sequences);
}

/**
 * A mask that lets through the rows that each token chose: F32, 0 there and −∞ elsewhere.
 * @param like F32 [rows, tokens, sequences]
 * @param numbers I32 [chosen, tokens, sequences]
 */
export function maskOf(g: Graph, like: Tensor, ...numbers: readonly Tensor[]): Tensor {
  const [rows, tokens, sequences] = like.ne;
  const closed = g.reshape(g.fill(like, -Infinity), 1, rows, tokens, sequences);
  const opened = numbers.reduce((mask, chosen) => {
    const zeros = g.fill(g.contiguous(g.columns(like, 0, chosen.ne[0])), 0);
    return g.setRows(mask, g.reshape(zeros, 1, chosen.ne[0], tokens, sequences), chosen);
  }, closed);
  return g.reshape(opened, rows, tokens, sequences);
}
