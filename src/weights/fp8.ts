import { FiddlerError } from '../errors.js';
import type { Checkpoint, ScaleBlock, StoredTensor } from './checkpoint.js';
import type { Conversion } from './conversions/index.js';

/** The scales of an FP8 matrix: one float32 for each block. */
export interface Scale {
  stored: StoredTensor;
  block: ScaleBlock;
}

/** The scales of a matrix, `${name}_scale_inv`. @throws FiddlerError `file` or `unsupported` */
export function findScale(checkpoint: Checkpoint, matrix: StoredTensor): Scale {
  const [rows, columns] = matrix.shape;
  const block = checkpoint.scaleBlock;
  if (!block || matrix.shape.length !== 2) {
    const problem = block ? `${matrix.shape.length} dimensions` : 'type F8_E4M3, but config.json names no fp8 blocks';
    throw new FiddlerError(
      'unsupported',
      `tensor ${matrix.name} in ${matrix.file} has ${problem}`,
      'use the model in bf16',
    );
  }
  const stored = checkpoint.get(`${matrix.name}_scale_inv`);
  const shape = [Math.ceil(rows! / block[0]), Math.ceil(columns! / block[1])];
  if (stored.dtype !== 'F32' || stored.shape.join() !== shape.join()) {
    const problem = `is ${stored.dtype} [${stored.shape}] instead of F32 [${shape}]`;
    throw new FiddlerError('file', `${stored.file}: tensor ${stored.name} ${problem}`, 'download the model again');
  }
  return { stored, block };
}

/** How a matrix with its scales becomes bf16. */
export function fp8Conversion({ shape, address }: StoredTensor, { stored, block }: Scale): Conversion {
  const [rows, columns] = shape as [number, number];
  return {
    kind: 'fp8',
    rows,
    rowBytes: columns * 2,
    band: block[0],
    columns,
    from: address,
    scales: stored.address,
    block,
  };
}
