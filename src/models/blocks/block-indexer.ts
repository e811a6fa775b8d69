import type { Graph } from '../../native/ggml/graph.js';
import { type Tensor, Type } from '../../native/ggml/tensor.js';
import { refuseUnless } from '../config.js';
import type { StepBlocks, StepGroup } from '../model.js';
import type { Declarations } from '../parameters.js';
import { remembered } from './attention.js';
import { type Chosen, type Indexer, maskOf, rectifiedScores } from './indexer.js';
import { rowsOfGroups } from './linear.js';
import { zeroCentredNorm } from './norm.js';
import type { RotaryBlock } from './rotary.js';

export interface BlockIndexerOptions {
  hidden: number;
  heads: number;
  headSize: number;
  /** Positions of a block, and those that a token attends to beside the block that is not complete. */
  every: number;
  budget: number;
  epsilon: number;
  rotate: RotaryBlock;
}

/** Blocks have so many positions at most, a power of two: attention reads rows in multiples of these. */
const LARGEST_BLOCK = 64;

/**
 * Chooses whole blocks of positions by their mean key, beside the last block, which is not complete (Qwen sparse attention,
 * as transformers has it, models/qwen4_exp). The KV cache holds a row for each block, and the keys that it is made of in a
 * ring. Where every block may be chosen, all are. Tensors `${prefix}.{index_qk_proj, q_layernorm, k_layernorm}`.
 * @throws FiddlerError `unsupported`
 */
export function blockIndexer(declare: Declarations, prefix: string, options: BlockIndexerOptions): Indexer {
  const { hidden, heads, headSize, every, budget, epsilon, rotate } = options;
  refuseUnless(
    every >= 2 && every <= LARGEST_BLOCK && Number.isInteger(Math.log2(every)),
    'indexer_compress_ratio',
    `is ${every}, not a power of two from 2 to ${LARGEST_BLOCK}`,
  );
  refuseUnless(budget >= every, 'indexer_budget', `is ${budget}, less than a block of ${every}`);
  const most = Math.floor(budget / every);
  const part = (from: number, count: number, alone: string) =>
    rowsOfGroups(
      declare,
      `${prefix}.index_qk_proj`,
      (heads + 1) * headSize,
      hidden,
      { count: 1, from: from * headSize, rows: count * headSize },
      `${prefix}.${alone}`,
    );
  const [query, key] = [part(0, heads, 'index_q_proj'), part(heads, 1, 'index_k_proj')];
  const queryNorm = zeroCentredNorm(declare, `${prefix}.q_layernorm`, headSize, epsilon);
  const keyNorm = zeroCentredNorm(declare, `${prefix}.k_layernorm`, headSize, epsilon);
  const single = declare.cache(headSize, every);
  const means = declare.cache(headSize, 0, every);
  declare.blocks.set(every, every);

  return (g, x, step) => {
    const q = rotate(g, queryNorm(g, g.reshape(query(g, x), headSize, heads, step.tokens)), step);
    const k = key(g, x);
    /** The mean keys of the blocks that the call touches, written to the cache: all of it [headSize, rows, sequences]. */
    const written = (group: StepGroup, blocks: StepBlocks) => {
      const keys = remembered(g, single, k, group);
      const touched = blocks.numbers.ne[0];
      const together = g.getRows(inBlocks(g, keys, every), blocks.lying);
      const rows = Array.from({ length: every }, (_, i) => g.contiguous(g.columns(together, i * headSize, headSize)));
      const sum = rows.reduce((a, b) => g.add(a, b));
      const mean = g.reshape(g.scale(sum, 1 / every), headSize, 1, touched * group.sequences);
      const turned = rotate(g, keyNorm(g, mean), { ...step, positions: blocks.starts });
      return g.setRows(group.partOf(means), g.reshape(turned, headSize, touched, group.sequences), blocks.numbers);
    };
    return (group) => {
      const blocks = group.blocksOf(every);
      const all = g.compute(written(group, blocks));
      if (blocks.read <= most) return undefined;
      const rows = g.view(all, [headSize, blocks.read, group.sequences, 1]);
      const scores = g.add(rectifiedScores(g, rows, group.headsOf(q)), blocks.visible);
      step.onScored?.(scores, most);
      const chosen = g.topK(scores, most);
      return group.tokens === 1 ? gathered(g, group, blocks, chosen, every) : masked(g, group, blocks, chosen, every);
    };
  };
}

/** Rows of a cache's part [width, rows, sequences] as blocks: [every · width, rows / every, sequences]. */
export function inBlocks(g: Graph, part: Tensor, every: number): Tensor {
  const [width, rows, sequences] = part.ne;
  const [element, row, sequence] = part.strides;
  return g.view(part, [width * every, rows / every, sequences, 1], 0, [element, row * every, sequence, sequence]);
}

/** Of one token a sequence the blocks that it chose [most, 1, sequences], and behind them its own. */
function gathered(g: Graph, { sequences }: StepGroup, blocks: StepBlocks, chosen: Tensor, every: number): Chosen {
  const most = chosen.ne[0];
  const numbers = g.reshape(chosen, most, sequences);
  const own = g.reshape(blocks.tailRows, 1, sequences);
  const seen = g.getRows(g.reshape(blocks.visible, 1, blocks.read, sequences), numbers);
  const ofPositions = g.reshape(g.repeat(seen, [every, most, sequences, 1]), every * most, 1, 1, sequences);
  const tail = g.reshape(blocks.tailMask, every, 1, 1, sequences);
  return {
    mask: g.cast(g.concat(ofPositions, tail, 0), Type.F16),
    gather: (written) => {
      const all = inBlocks(g, written, every);
      const rows = g.concat(g.getRows(all, numbers), g.getRows(all, own), 1);
      return g.reshape(rows, written.ne[0], every * (most + 1), sequences);
    },
  };
}

/** The mask of tokens that read all rows, for the blocks that they chose [most, tokens, sequences] and their own. */
function masked(g: Graph, group: StepGroup, blocks: StepBlocks, chosen: Tensor, every: number): Chosen {
  const { tokens, sequences } = group;
  const { read } = blocks;
  // The number of the tail may be one more than there are.
  const open = g.columns(maskOf(g, g.pad(blocks.visible, 1), chosen, blocks.tails), 0, read);
  const each = g.reshape(g.contiguous(open), 1, read, tokens, sequences);
  const ofPositions = g.reshape(g.repeat(each, [every, read, tokens, sequences]), every * read, tokens, 1, sequences);
  return { mask: g.cast(g.add(ofPositions, g.cast(group.mask(), Type.F32)), Type.F16) };
}
