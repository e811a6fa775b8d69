import { view } from '../ggml/memory.js';
import { rowBytes, Type } from '../ggml/tensor.js';
import type { Checkpoint } from './checkpoint.js';
import { checkShape, type StoredSource } from './source.js';

/** Elements that share a scale, and the bytes they take (OCP Microscaling Formats 1.0). */
const BLOCK = 32;
const PACKED = BLOCK / 2;

/** One matrix of those that a pair of tensors packs. */
export interface Mxfp4Part {
  /** Matrices in all, and the one that is meant. */
  count: number;
  index: number;
  /** Takes the rows from, from + step, from + 2 · step, … of the matrix's `of` rows. */
  rows: { from: number; of: number; step: number };
}

/** Shapes of the two tensors that pack `count` matrices [rows, columns]. */
export function mxfp4Shapes(count: number, rows: number, columns: number): { blocks: number[]; scales: number[] } {
  const groups = columns / BLOCK;
  return { blocks: [count, rows, groups, PACKED], scales: [count, rows, groups] };
}

/**
 * A matrix of MXFP4 numbers as gpt-oss is published: `${name}_blocks` U8 [count, rows, columns / 32, 16] with numbers
 * 2i and 2i + 1 in the low and high half of byte i, and `${name}_scales` U8 [count, rows, columns / 32] (E8M0).
 * @throws FiddlerError `file`
 */
export function findMxfp4(checkpoint: Checkpoint, name: string, part: Mxfp4Part, columns: number): StoredSource {
  const { count, index, rows } = part;
  const groups = columns / BLOCK;
  const shapes = mxfp4Shapes(count, rows.of, columns);
  const pick = (suffix: 'blocks' | 'scales') => {
    const stored = checkpoint.get(`${name}_${suffix}`);
    checkShape(stored, shapes[suffix]);
    const bytes = stored.bytes / count;
    return { address: stored.address + BigInt(index * bytes), bytes };
  };
  const blocks = pick('blocks');
  const scales = pick('scales');
  const taken = Math.ceil((rows.of - rows.from) / rows.step);
  return {
    type: Type.MXFP4,
    elements: taken * columns,
    reads: [blocks, scales],
    make(target) {
      const from = new Uint8Array(view(blocks.address, blocks.bytes));
      const exponents = new Uint8Array(view(scales.address, scales.bytes));
      const to = new Uint8Array(target);
      const row = rowBytes(Type.MXFP4, columns);
      for (let r = 0; r < taken; r++) {
        repackRow(from, exponents, (rows.from + r * rows.step) * groups, groups, to, r * row);
      }
    },
  };
}

/** ggml's block_mxfp4: the scale, then number i in the low and number i + 16 in the high half of byte i. */
function repackRow(
  from: Uint8Array,
  scales: Uint8Array,
  first: number,
  groups: number,
  to: Uint8Array,
  begin: number,
): void {
  let out = begin;
  for (let group = first; group < first + groups; group++) {
    to[out++] = scales[group]!;
    const low = group * PACKED;
    for (let i = low; i < low + PACKED / 2; i++) {
      const a = from[i]!;
      const b = from[i + PACKED / 2]!;
      to[out++] = (a & 15) | ((b & 15) << 4);
      to[out++] = (a >> 4) | (b & 0xf0);
    }
  }
}
