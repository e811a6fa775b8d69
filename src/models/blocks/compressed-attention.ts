import type { Graph } from '../../native/ggml/graph.js';
import { type Tensor, Type } from '../../native/ggml/tensor.js';
import { refuseUnless } from '../config.js';
import type { AttentionBlock, Step, StepGroup } from '../model.js';
import type { Declarations } from '../parameters.js';
import { type Attended, attend, byHeads, remembered } from './attention.js';
import { compressor } from './compressor.js';
import { allEntries, type ChosenEntries, entryIndexer } from './entry-indexer.js';
import { linear, perHead } from './linear.js';
import { rmsNorm } from './norm.js';
import type { RotaryBlock } from './rotary.js';

export interface CompressedAttentionOptions {
  hidden: number;
  heads: number;
  headSize: number;
  /** Width of the queries' latent. */
  queryRank: number;
  /** Groups of heads, and numbers to which each is projected before all are projected together. */
  groups: number;
  groupRank: number;
  /** Tokens look at most this far back, themselves included, and at entries of blocks before. */
  window: number;
  epsilon: number;
  rotate: RotaryBlock;
  /** Positions of a block; tokens attend to the entries of all of these, or with an indexer to some. */
  entries?: { every: number; indexer?: { heads: number; headSize: number; kept: number } };
}

/**
 * Attention to the last tokens and to compressed entries of blocks of those before (DeepSeek-V4's report, section 2.3;
 * transformers, models/deepseek_v4). All heads share a key, which is the value too, so that results are turned back by
 * their token's position. Tensors `${prefix}.{wq_a, q_norm, wq_b, wkv, kv_norm, attn_sink, wo_a, wo_b, compressor, indexer}`.
 * @throws FiddlerError `unsupported`
 */
export function compressedAttention(
  declare: Declarations,
  prefix: string,
  options: CompressedAttentionOptions,
): AttentionBlock {
  const { hidden, heads, headSize, queryRank, groups, groupRank, window, epsilon, rotate } = options;
  refuseUnless(heads % groups === 0, 'o_groups', `is ${groups}, which does not divide ${heads} heads`);
  const groupWidth = (heads / groups) * headSize;
  const down = linear(declare, `${prefix}.wq_a`, queryRank, hidden);
  const downNorm = rmsNorm(declare, `${prefix}.q_norm`, queryRank, epsilon);
  const up = linear(declare, `${prefix}.wq_b`, heads * headSize, queryRank);
  const shared = linear(declare, `${prefix}.wkv`, headSize, hidden);
  const sharedNorm = rmsNorm(declare, `${prefix}.kv_norm`, headSize, epsilon);
  const sinks = declare.vector(`${prefix}.attn_sink`, heads);
  const first = declare.matrix(`${prefix}.wo_a.weight`, groups * groupRank, groupWidth);
  const second = linear(declare, `${prefix}.wo_b`, hidden, groups * groupRank);
  const cache = declare.cache(headSize, window);
  declare.windows.add(window);
  const further = entriesOf(declare, prefix, options);

  return (g, x, step) => {
    const n = step.tokens;
    const latent = downNorm(g, down(g, x));
    const q = rotate(g, g.rmsNorm(g.reshape(up(g, latent), headSize, heads, n), undefined, epsilon), step);
    const key = rotate(g, g.reshape(sharedNorm(g, shared(g, x)), headSize, 1, n), step);
    const rows = g.reshape(key, headSize, n);
    const entriesFor = further?.(g, x, latent, step);
    const mixed = attend(g, q, step, (group) => {
      const near = { rows: nearest(g, rows, group), mask: group.mask(window) };
      const far = entriesFor?.(group);
      return { ...together(g, near, far), scale: headSize ** -0.5, sinks: sinks.tensor };
    });
    const turned = rotate(g, g.reshape(mixed, headSize, heads, n), step, true);
    const byGroup = perHead(
      g,
      g.reshape(first.tensor, groupWidth, groupRank, groups),
      g.reshape(turned, groupWidth, groups, n),
    );
    return second(g, g.reshape(byGroup, groups * groupRank, n));
  };

  /** Writes a group's rows of [headSize, n] and gives what its tokens may look at of the window: [headSize, rows, 1, sequences]. */
  function nearest(g: Graph, rows: Tensor, group: StepGroup): Tensor {
    const written = remembered(g, cache, rows, group);
    const { from, count } = group.readOf(cache);
    return byHeads(g, written, count, headSize, from);
  }
}

/** Entries that a group's tokens attend to: [headSize, count, 1, sequences], and a mask F32 [count, tokens, sequences]. */
interface Entries {
  rows: Tensor;
  mask: Tensor;
}

function entriesOf(
  declare: Declarations,
  prefix: string,
  { hidden, headSize, queryRank, epsilon, rotate, entries }: CompressedAttentionOptions,
): ((g: Graph, x: Tensor, latent: Tensor, step: Step) => (group: StepGroup) => Entries) | undefined {
  if (!entries) return undefined;
  const { every, indexer } = entries;
  const made = { hidden, every, overlaps: indexer !== undefined, epsilon, rotate };
  const compress = compressor(declare, `${prefix}.compressor`, { ...made, size: headSize });
  const index = indexer && entryIndexer(declare, `${prefix}.indexer`, { ...made, queryRank, ...indexer });
  return (g, x, latent, step) => {
    const writtenFor = compress(g, x, step);
    const choose = index?.(g, x, latent, step);
    return (group) => {
      const written = writtenFor(group);
      const chosen = choose?.(group) ?? allEntries(group, every);
      return { rows: rowsOf(g, written, chosen, headSize), mask: chosen.mask };
    };
  };
}

/** [headSize, count, 1, sequences] of a cache's part [headSize, rows, sequences]. */
function rowsOf(g: Graph, written: Tensor, { mask, numbers }: ChosenEntries, headSize: number): Tensor {
  const gathered = numbers ? g.getRows(written, numbers) : written;
  return byHeads(g, gathered, mask.ne[0], headSize);
}

/** Rows of the window and entries as one, and so their masks. */
function together(g: Graph, near: { rows: Tensor; mask: Tensor }, far?: Entries): Pick<Attended, 'k' | 'v' | 'mask'> {
  if (!far) return { k: near.rows, v: near.rows, mask: near.mask };
  const [count, tokens, sequences] = far.mask.ne;
  const same = far.rows.type === near.rows.type ? near.rows : g.cast(near.rows, far.rows.type);
  const k = g.concat(same, far.rows, 1);
  const seen = g.reshape(far.mask, count, tokens, 1, sequences);
  return { k, v: k, mask: g.cast(g.concat(g.cast(near.mask, Type.F32), seen, 0), Type.F16) };
}
