import type { Graph } from '../../native/ggml/graph.js';
import type { Tensor } from '../../native/ggml/tensor.js';
import type { AttentionBlock } from '../model.js';
import type { Declarations } from '../parameters.js';
import { attend, remember } from './attention.js';
import { linear, perHead } from './linear.js';
import { rmsNorm } from './norm.js';
import type { RotaryBlock } from './rotary.js';
import type { LatentIndexer } from './token-indexer.js';

export interface LatentAttentionOptions {
  hidden: number;
  heads: number;
  /** Width of the latent that stands for a token's keys and values. */
  rank: number;
  /** Width of the queries' latent; undefined projects queries from the hidden states at once. */
  queryRank?: number;
  /** Sizes of a head's query: the part without positions, and the one that is rotated. */
  unrotated: number;
  rotated: number;
  /** Size of a head's value. */
  valueSize: number;
  rotate: RotaryBlock;
  /** What queries are multiplied by for their positions, 1 where undefined. */
  grow?: RotaryBlock;
  /** Has tokens attend to some of those before them, by the latents of their queries. */
  indexer?: LatentIndexer;
  /** Factor of the scores. */
  scale: number;
  /** The projections from and to hidden states have biases, but for that of queries without a latent. */
  bias: boolean;
}

/** The reference normalises latents with its own default, whatever rms_norm_eps is. */
const LATENT_EPSILON = 1e-6;

/**
 * Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1). The cache holds a row [rank + rotated] for
 * each token: its latent and its rotated key, which all heads share. What makes keys and values of a latent is absorbed
 * into queries and outputs, so that attention has one key and value head whose values are the latents themselves.
 */
export function latentAttention(
  declare: Declarations,
  prefix: string,
  options: LatentAttentionOptions,
): AttentionBlock {
  const { hidden, heads, rank, unrotated, rotated, valueSize, rotate, bias, grow = (_, x) => x } = options;
  const query = queries(declare, prefix, options);
  const compress = linear(declare, `${prefix}.kv_a_proj_with_mqa`, rank + rotated, hidden, bias);
  const normalise = rmsNorm(declare, `${prefix}.kv_a_layernorm`, rank, LATENT_EPSILON);
  const expand = (part: { from: number; rows: number; transposed: boolean; alone: string }) =>
    declare.rowGroups(`${prefix}.kv_b_proj.weight`, heads * (unrotated + valueSize), rank, { count: heads, ...part });
  const toKeys = expand({ from: 0, rows: unrotated, transposed: true, alone: `${prefix}.k_b_proj.weight` });
  const toValues = expand({ from: unrotated, rows: valueSize, transposed: false, alone: `${prefix}.v_b_proj.weight` });
  const output = linear(declare, `${prefix}.o_proj`, hidden, heads * valueSize, bias);
  const latents = declare.cache(rank + rotated);
  declare.windows.add(0);

  return (g, x, step) => {
    const n = step.tokens;
    const { latent: read, all } = query(g, x);
    const choose = options.indexer?.(g, x, read, step);
    const q = grow(g, g.reshape(all, unrotated + rotated, heads, n), step);
    const inLatents = perHead(g, toKeys.tensor, g.columns(q, 0, unrotated));
    const turned = rotate(g, g.columns(q, unrotated, rotated), step);

    const compressed = g.reshape(compress(g, x), rank + rotated, 1, n);
    const latent = normalise(g, g.columns(compressed, 0, rank));
    const row = g.concat(latent, rotate(g, g.columns(compressed, rank, rotated), step), 0);
    const rows = g.reshape(row, rank + rotated, n);

    const mixed = attend(g, g.concat(inLatents, turned, 0), step, (group) => {
      const chosen = choose?.(group);
      const keys = remember(g, latents, rows, group, rank + rotated, chosen);
      return { k: keys, v: g.columns(keys, 0, rank), mask: chosen?.mask ?? group.mask(), scale: options.scale };
    });
    const byHead = perHead(g, toValues.tensor, g.reshape(mixed, rank, heads, n));
    return output(g, g.reshape(byHead, heads * valueSize, n));
  };
}

/** x [hidden, n] → its latent [queryRank, n], or itself where there is none, and [(unrotated + rotated) · heads, n]. */
function queries(
  declare: Declarations,
  prefix: string,
  options: LatentAttentionOptions,
): (g: Graph, x: Tensor) => { latent: Tensor; all: Tensor } {
  const { hidden, heads, queryRank, unrotated, rotated, bias } = options;
  const width = heads * (unrotated + rotated);
  if (queryRank === undefined) {
    const project = linear(declare, `${prefix}.q_proj`, width, hidden);
    return (g, x) => ({ latent: x, all: project(g, x) });
  }
  const down = linear(declare, `${prefix}.q_a_proj`, queryRank, hidden, bias);
  const normalise = rmsNorm(declare, `${prefix}.q_a_layernorm`, queryRank, LATENT_EPSILON);
  const up = linear(declare, `${prefix}.q_b_proj`, width, queryRank);
  return (g, x) => {
    const latent = normalise(g, down(g, x));
    return { latent, all: up(g, latent) };
  };
}
