import type { Graph } from '../../native/ggml/graph.js';
import type { Tensor } from '../../native/ggml/tensor.js';
import { refuseUnless } from '../config.js';
import type { Step, StepGroup } from '../model.js';
import type { Declarations } from '../parameters.js';
import { remembered } from './attention.js';
import { inBlocks } from './block-indexer.js';
import { linear } from './linear.js';
import { rmsNorm } from './norm.js';
import type { RotaryBlock } from './rotary.js';

export interface CompressorOptions {
  hidden: number;
  /** Numbers of an entry. */
  size: number;
  /** Positions of a block. */
  every: number;
  /** An entry is made of the block before its own too: each token has two rows, for the next block and for its own. */
  overlaps: boolean;
  epsilon: number;
  rotate: RotaryBlock;
}

/** Normalised hidden states [hidden, n] → for each group, an entry for each block: its part of the cache [size, rows, sequences]. */
export type Compressor = (g: Graph, x: Tensor, step: Step) => (group: StepGroup) => Tensor;

/** Rings and contexts have rows in multiples of this. */
const LARGEST_BLOCK = 256;

/**
 * Makes one entry of each block of positions: a mean of what its tokens are projected to, weighed for each element by a
 * softmax over them, normalised, and rotated as the block's first position (DeepSeek-V4's report, sections 2.3.1 and 2.3.2;
 * transformers, models/deepseek_v4). The KV cache holds a row for each block, and what unfinished blocks are made of in a
 * ring. Tensors `${prefix}.{wkv, wgate, ape, norm}`.
 * @throws FiddlerError `unsupported`
 */
export function compressor(
  declare: Declarations,
  prefix: string,
  { hidden, size, every, overlaps, epsilon, rotate }: CompressorOptions,
): Compressor {
  refuseUnless(
    every >= 2 && every <= LARGEST_BLOCK && Number.isInteger(Math.log2(every)),
    'compress_rates',
    `has ${every}, not a power of two from 2 to ${LARGEST_BLOCK}`,
  );
  const width = overlaps ? 2 * size : size;
  const value = linear(declare, `${prefix}.wkv`, width, hidden);
  const gate = linear(declare, `${prefix}.wgate`, width, hidden);
  const bias = declare.exactMatrix(`${prefix}.ape`, every, width);
  const norm = rmsNorm(declare, `${prefix}.norm`, size, epsilon);
  const window = overlaps ? 2 * every : every;
  const single = declare.cache(2 * width, window);
  const entries = declare.cache(size, 0, every);
  declare.blocks.set(every, Math.max(window, declare.blocks.get(every) ?? 0));

  /** What blocks [touched, sequences] hold from a column on, of values and of gates: [every, size, touched, sequences]. */
  const slots = (g: Graph, ring: Tensor, lying: Tensor, from: number) => {
    const [touched, sequences] = lying.ne;
    const rows = g.reshape(g.getRows(inBlocks(g, ring, every), lying), 2 * width, every, touched, sequences);
    const bySlot = (a: Tensor) => g.contiguous(g.permute(a, [1, 0, 2, 3]));
    const own = g.columns(bias.tensor, from, size);
    return {
      values: bySlot(g.columns(rows, from, size)),
      gates: bySlot(g.add(g.columns(rows, width + from, size), own)),
    };
  };

  return (g, x, step) => {
    const rows = g.concat(value(g, x), gate(g, x), 0);
    return (group) => {
      const { lying, lyingBefore, followed, starts, numbers } = group.blocksOf(every);
      const [touched, sequences] = lying.ne;
      const ring = remembered(g, single, rows, group);
      let { values, gates } = slots(g, ring, lying, width - size);
      if (overlaps) {
        const before = slots(g, ring, lyingBefore, 0);
        values = g.concat(before.values, values, 0);
        gates = g.concat(g.add(before.gates, g.reshape(followed, 1, 1, touched, sequences)), gates, 0);
      }
      const mean = g.sumRows(g.multiply(values, g.softMax(gates)));
      const entry = norm(g, g.reshape(mean, size, 1, touched * sequences));
      const turned = rotate(g, entry, { ...step, positions: starts });
      return g.setRows(group.partOf(entries), g.reshape(turned, size, touched, sequences), numbers);
    };
  };
}
