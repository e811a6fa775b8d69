import { FiddlerError } from '../errors.js';
import { rowBytes, Type } from '../native/ggml/tensor.js';
import type { Checkpoint } from './checkpoint.js';
import type { Conversion } from './conversions/index.js';
import { BLOCK, PACKED } from './conversions/mxfp4.js';
import { scaleBeside } from './fp8.js';
import { checkShape, type StoredSource } from './source.js';

/** One matrix of those that a pair of tensors packs. */
export interface Mxfp4Part {
  /** Matrices in all, and the one that is meant. */
  count: number;
  index: number;
  /** Takes the rows from, from + step, from + 2 · step, … of the matrix's `of` rows. */
  rows: { from: number; of: number; step: number };
}

/**
 * How two tensors hold MXFP4 numbers, of which 2i and 2i + 1 are the low and high half of byte i, and their E8M0 scales:
 * `together`, as gpt-oss is published, all matrices in `${name}_blocks` U8 [count, rows, columns / 32, 16] and
 * `${name}_scales` U8 [count, rows, columns / 32]; `apart`, as DeepSeek-V4 is, each in `${name}` I8 [rows, columns / 2] and
 * the same with `.scale` in place of `.weight`, F8_E8M0 [rows, columns / 32].
 */
export type Mxfp4Packing = 'together' | 'apart';

/** The two tensors that pack `count` matrices [rows, columns], or one of them. */
export function mxfp4Tensors(
  name: string,
  packing: Mxfp4Packing,
  [count, rows, columns]: readonly [number, number, number],
): Record<'blocks' | 'scales', { name: string; shape: number[]; dtypes: readonly ('U8' | 'I8' | 'F8_E8M0')[] }> {
  const groups = columns / BLOCK;
  if (packing === 'apart') {
    return {
      blocks: { name, shape: [rows, columns / 2], dtypes: ['I8', 'U8'] },
      scales: { name: scaleBeside(name), shape: [rows, groups], dtypes: ['F8_E8M0', 'U8'] },
    };
  }
  return {
    blocks: { name: `${name}_blocks`, shape: [count, rows, groups, PACKED], dtypes: ['U8'] },
    scales: { name: `${name}_scales`, shape: [count, rows, groups], dtypes: ['U8'] },
  };
}

/** A matrix of MXFP4 numbers. @throws FiddlerError `file` */
export function findMxfp4(
  checkpoint: Checkpoint,
  { name, packing }: { name: string; packing: Mxfp4Packing },
  part: Mxfp4Part,
  columns: number,
): StoredSource {
  const { count, index, rows } = part;
  const groups = columns / BLOCK;
  const tensors = mxfp4Tensors(name, packing, [count, rows.of, columns]);
  const pick = (which: 'blocks' | 'scales') => {
    const { dtypes, shape, name: tensor } = tensors[which];
    const stored = checkpoint.get(tensor);
    checkShape(stored, shape);
    if (!dtypes.some((dtype) => dtype === stored.dtype)) {
      const problem = `${stored.file}: tensor ${tensor} is ${stored.dtype} instead of ${dtypes.join(' or ')}`;
      throw new FiddlerError('file', problem, 'download the model again');
    }
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
