import { rowBytes, Type } from '../native/ggml/tensor.js';
import type { Checkpoint } from './checkpoint.js';
import type { Conversion } from './conversions/index.js';
import { BLOCK, PACKED } from './conversions/mxfp4.js';
import { checkShape, type StoredSource } from './source.js';

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
  const conversion: Conversion = {
    kind: 'mxfp4',
    rows: taken,
    rowBytes: rowBytes(Type.MXFP4, columns),
    band: 1,
    groups,
    blocks: blocks.address,
    scales: scales.address,
    first: rows.from,
    step: rows.step,
  };
  return {
    type: Type.MXFP4,
    elements: taken * columns,
    reads: [blocks, scales],
    make: (target, convert) => convert(conversion, target),
  };
}
