import type { Graph } from '../../native/ggml/graph.js';
import { type Tensor, Type } from '../../native/ggml/tensor.js';
import type { Step, StepGroup } from '../model.js';
import type { CacheRows, Carried, Declarations } from '../parameters.js';
import { remembered } from './attention.js';
import { type Chosen, maskOf, rectifiedScores } from './indexer.js';
import { linear } from './linear.js';
import { layerNorm } from './norm.js';
import type { RotaryBlock } from './rotary.js';

export interface TokenIndexerOptions {
  hidden: number;
  /** Width of the queries' latent. */
  queryRank: number;
  heads: number;
  headSize: number;
  /** Positions that a token attends to at most. */
  kept: number;
  rotate: RotaryBlock;
}

/** As an Indexer, of normalised hidden states and the queries' latents [queryRank, n]. */
export type LatentIndexer = (g: Graph, x: Tensor, latent: Tensor, step: Step) => Choose;
type Choose = (group: StepGroup) => Chosen | undefined;

const EPSILON = 1e-6;
/** Lost in any score but 0: of positions that no head sees anything in, every device chooses the last. */
const LATER = 1e-30;

/** What an indexer chose, for layers behind it: numbers of rows. */
export interface SharedChoice {
  kept: number;
  numbers: Carried;
  /** A cache with a row for each position. */
  keys: CacheRows;
}

/**
 * The lightning indexer of DeepSeek-V3.2 (its report, section 2.1; transformers, models/deepseek_v32): scores of all
 * positions by small heads that share a key, of which the best are attended to. The KV cache holds the keys. Tensors
 * `${prefix}.{wq_b, wk, k_norm, weights_proj}`.
 * @param shares later layers take what this one chooses
 */
export function tokenIndexer(
  declare: Declarations,
  prefix: string,
  { hidden, queryRank, heads, headSize, kept, rotate }: TokenIndexerOptions,
  shares = false,
): { choose: LatentIndexer; shared?: SharedChoice } {
  const query = linear(declare, `${prefix}.wq_b`, heads * headSize, queryRank);
  const key = linear(declare, `${prefix}.wk`, headSize, hidden);
  const keyNorm = layerNorm(declare, `${prefix}.k_norm`, headSize, EPSILON);
  const weigh = linear(declare, `${prefix}.weights_proj`, heads, hidden);
  const keys = declare.cache(headSize);
  const shared = shares ? { kept, numbers: declare.carry(kept), keys } : undefined;
  const choose: LatentIndexer = (g, x, latent, step) => {
    const n = step.tokens;
    const q = rotate(g, g.reshape(query(g, latent), headSize, heads, n), step);
    const k = rotate(g, g.reshape(keyNorm(g, key(g, x)), headSize, 1, n), step);
    const rows = g.reshape(k, headSize, n);
    const weights = g.scale(weigh(g, x), 1 / Math.sqrt(heads * headSize));
    return (group) => {
      const all = g.compute(remembered(g, keys, rows, group));
      const { count } = group.readOf(keys);
      if (count <= kept) return undefined;
      const seen = g.view(all, [headSize, count, group.sequences, 1]);
      const found = indexScores(g, seen, group.headsOf(q), group.alignedRowsOf(weights), group.mask(), step);
      const scores = g.add(found, g.scale(g.arange(count), LATER));
      step.onScored?.(scores, kept);
      const numbers = g.topK(scores, kept);
      if (shared) g.compute(g.copy(numbers, group.rowsOf(g.rows(shared.numbers.tensor, 0, n))));
      return chosen(g, group, numbers, count);
    };
  };
  return { choose, shared };
}

/** What another layer's indexer chose in this call. */
export function sharedIndexer({ kept, numbers, keys }: SharedChoice): LatentIndexer {
  return (g, _x, _latent, step) => (group) => {
    const { count } = group.readOf(keys);
    if (count <= kept) return undefined;
    const handed = g.contiguous(group.rowsOf(g.rows(numbers.tensor, 0, step.tokens)));
    return chosen(g, group, g.cast(g.clamp(handed, 0, count - 1), Type.I32), count);
  };
}

/**
 * `rectifiedScores` of what a mask lets through: k [size, rows, sequences], q [size, heads, tokens, sequences], weights
 * [heads, tokens, sequences], mask F16 [rows, tokens, 1, sequences] → [rows, tokens, sequences].
 */
export function indexScores(
  g: Graph,
  k: Tensor,
  q: Tensor,
  weights: Tensor,
  mask: Tensor,
  step: Pick<Step, 'supports'>,
): Tensor {
  const [size, rows, sequences] = k.ne;
  const [heads, tokens] = weights.ne;
  const [element, row, sequence] = k.strides;
  const byRow = g.view(k, [size, 1, rows, sequences], 0, [element, row, row, sequence]);
  const whole = g.lightningIndexer(q, byRow, g.reshape(weights, heads, tokens, 1, sequences), mask);
  if (step.supports(whole)) return g.reshape(whole, rows, tokens, sequences);
  const scores = rectifiedScores(g, k, q, weights);
  return g.add(scores, g.reshape(g.cast(mask, Type.F32), rows, tokens, sequences));
}

/** @param numbers I32 [kept, tokens, sequences]; `count`: rows that attention would read */
function chosen(g: Graph, group: StepGroup, numbers: Tensor, count: number): Chosen {
  const { tokens, sequences } = group;
  const kept = numbers.ne[0];
  const causal = group.mask();
  if (tokens > 1) {
    const visible = g.cast(causal, Type.F32);
    const open = maskOf(g, g.reshape(visible, count, tokens, sequences), numbers);
    return { mask: g.cast(g.add(g.reshape(open, count, tokens, 1, sequences), visible), Type.F16) };
  }
  const own = g.reshape(numbers, kept, sequences);
  const seen = g.getRows(g.reshape(causal, 1, count, sequences), own);
  return {
    mask: g.cast(g.reshape(seen, kept, 1, 1, sequences), Type.F16),
    gather: (written) => g.getRows(written, own),
  };
}
