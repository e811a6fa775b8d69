import type { Step } from '../models/model.js';
import type { CacheRows } from '../models/parameters.js';
import type { Graph } from '../native/ggml/graph.js';
import type { Tensor } from '../native/ggml/tensor.js';
import type { Group } from './batch.js';
import type { StepInputs } from './inputs.js';

/** What a call's graphs are built for. */
export interface Stepped {
  tokens: number;
  groups: readonly Group[];
  extended: boolean;
}

/** What a call's blocks are told. */
export function stepOf(
  g: Graph,
  { tokens, groups, extended }: Stepped,
  inputs: StepInputs,
  { supports, alignment }: { supports: Step['supports']; alignment: number },
): Step {
  const masks = inputs.masksOf(groups);
  return {
    tokens,
    extended,
    positions: inputs.positionsOf(g, tokens),
    groups: groups.map((group, i) => {
      const { mask, biasedMask, sourceMask } = masks[i]!;
      const ofSource = sourceMask(g);
      return {
        tokens: group.tokens,
        sequences: group.sequences,
        readOf: ({ window }) => group.reads.get(window)!,
        writtenOf: ({ window }) => inputs.rowsOf(g, group, window),
        mask: (window) => mask(g, window),
        biasedMask: (bias) => biasedMask(g, bias),
        source: ofSource && { rows: group.sourceRows, mask: ofSource },
        rowsOf: (a) => partOfRows(g, a, group),
        alignedRowsOf: (a) => alignedRows(g, a, group, alignment),
        headsOf: (a) => partOfHeads(g, a, group),
        partOf: (cache) => partOfCache(g, cache, group),
        stateOf: ({ tensor }) => g.rows(tensor, group.slot, group.sequences),
        blocksOf: (every) => inputs.blocksOf(groups, every)[i]!(g),
      };
    }),
    supports,
  };
}

/** A group's part of what each token of a call has: [width, n] → [width, tokens, sequences]. */
function partOfRows(g: Graph, a: Tensor, { first, tokens, sequences }: Group): Tensor {
  if (sequences === 1 && a.ne[1] === tokens) return a;
  const [width, row] = [a.strides[0], a.strides[1]];
  return g.view(a, [a.ne[0], tokens, sequences, 1], first * row, [width, row, row * tokens, row * tokens * sequences]);
}

/** Copied where the part would begin between two multiples of the device's alignment. */
function alignedRows(g: Graph, a: Tensor, group: Group, alignment: number): Tensor {
  const part = partOfRows(g, a, group);
  return (group.first * a.strides[1]) % alignment === 0 ? part : g.contiguous(part);
}

/** [size, heads, n] → [size, heads, tokens, sequences]. */
function partOfHeads(g: Graph, a: Tensor, { first, tokens, sequences }: Group): Tensor {
  if (sequences === 1 && a.ne[2] === tokens) return a;
  const [element, head, token] = a.strides;
  return g.view(a, [a.ne[0], a.ne[1], tokens, sequences], first * token, [element, head, token, token * tokens]);
}

/** The sequences' parts of a cache: [width, rows, sequences]. */
export function partOfCache(
  g: Graph,
  { tensor, rows }: CacheRows,
  { slot, sequences }: Pick<Group, 'slot' | 'sequences'>,
): Tensor {
  if (slot === 0 && sequences === 1) return tensor;
  const [element, row] = tensor.strides;
  const part = row * rows;
  return g.view(tensor, [tensor.ne[0], rows, sequences, 1], slot * part, [element, row, part, part * sequences]);
}
