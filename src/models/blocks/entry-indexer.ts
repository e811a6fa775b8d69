import type { Graph } from '../../native/ggml/graph.js';
import { type Tensor, Type } from '../../native/ggml/tensor.js';
import type { Step, StepGroup } from '../model.js';
import type { Declarations } from '../parameters.js';
import { type CompressorOptions, compressor } from './compressor.js';
import { maskOf } from './indexer.js';
import { linear } from './linear.js';
import { indexScores } from './token-indexer.js';

export interface EntryIndexerOptions extends Omit<CompressorOptions, 'size'> {
  /** Width of the queries' latent. */
  queryRank: number;
  heads: number;
  headSize: number;
  /** Entries that a token attends to at most. */
  kept: number;
}

/** What tokens attend to of a cache with a row for each block. */
export interface ChosenEntries {
  /** F32 [entries, tokens, sequences]: 0 where a token attends to an entry, −∞ elsewhere. */
  mask: Tensor;
  /** Numbers of these entries I32 [entries, sequences], where only some are read: of one token a sequence. */
  numbers?: Tensor;
}

/** Of normalised hidden states [hidden, n] and the queries' latents [queryRank, n]: what each group's tokens attend to. */
export type EntryIndexer = (g: Graph, x: Tensor, latent: Tensor, step: Step) => (group: StepGroup) => ChosenEntries;

/** Every entry of a complete block. */
export function allEntries(group: StepGroup, every: number): ChosenEntries {
  return { mask: group.blocksOf(every).visible };
}

/**
 * Chooses entries by a lightning indexer whose keys are compressed as these are (DeepSeek-V4's report, section 2.3.1;
 * transformers, models/deepseek_v4). The KV cache holds a key for each block. Tensors `${prefix}.{wq_b, weights_proj,
 * compressor}`. @throws FiddlerError `unsupported`
 */
export function entryIndexer(declare: Declarations, prefix: string, options: EntryIndexerOptions): EntryIndexer {
  const { hidden, queryRank, heads, headSize, kept, every, rotate } = options;
  const query = linear(declare, `${prefix}.wq_b`, heads * headSize, queryRank);
  const weigh = linear(declare, `${prefix}.weights_proj`, heads, hidden);
  const compress = compressor(declare, `${prefix}.compressor`, { ...options, size: headSize });
  return (g, x, latent, step) => {
    const q = rotate(g, g.reshape(query(g, latent), headSize, heads, step.tokens), step);
    const weights = g.scale(weigh(g, x), 1 / Math.sqrt(heads * headSize));
    const keysOf = compress(g, x, step);
    return (group) => {
      const keys = g.compute(keysOf(group));
      const { read, visible } = group.blocksOf(every);
      const { tokens, sequences } = group;
      if (read <= kept) return { mask: visible };
      const seen = g.view(keys, [headSize, read, sequences, 1]);
      const mask = g.cast(g.reshape(visible, read, tokens, 1, sequences), Type.F16);
      const found = indexScores(g, seen, group.headsOf(q), group.alignedRowsOf(weights), mask, step);
      const scores = g.add(found, visible);
      step.onScored?.(scores, kept);
      const chosen = g.topK(scores, kept);
      if (tokens > 1) return { mask: g.add(maskOf(g, visible, chosen), visible) };
      const numbers = g.reshape(chosen, kept, sequences);
      const open = g.getRows(g.reshape(visible, 1, read, sequences), numbers);
      return { mask: g.reshape(open, kept, 1, sequences), numbers };
    };
  };
}
