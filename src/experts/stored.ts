import { STORED_TYPE } from '../devices/mapped.js';
import type { Source } from '../devices/upload.js';
import { FiddlerError } from '../errors.js';
import { rowBytes } from '../ggml/tensor.js';
import type { Checkpoint, StoredTensor } from '../weights/checkpoint.js';
import { MATRICES, type MatrixName } from './expert.js';
import { type ExpertsSpec, matrixShape } from './spec.js';

/** One matrix of an expert in the checkpoint. */
export interface StoredMatrix extends Source {
  stored: StoredTensor;
  /** PyTorch's order. */
  rows: number;
  columns: number;
  bytes: number;
}

/** @throws FiddlerError `file` unless the tensor has the shape that the config implies */
export function checkShape(stored: StoredTensor, expected: readonly number[]): void {
  if (stored.shape.length === expected.length && stored.shape.every((n, i) => n === expected[i])) return;
  throw new FiddlerError(
    'file',
    `${stored.file}: tensor ${stored.name} has shape [${stored.shape}], but config.json implies [${expected}]`,
    'check that config.json and the weights are of the same model',
  );
}

/** Finds one matrix. @throws FiddlerError `file` where it is missing or its shape is not the config's */
export function findMatrix(checkpoint: Checkpoint, spec: ExpertsSpec, expert: number, name: MatrixName): StoredMatrix {
  const { name: tensor, index } = spec.matrices(expert)[name];
  const stored = checkpoint.get(tensor);
  const [rows, columns] = matrixShape(spec, name);
  checkShape(stored, index === undefined ? [rows, columns] : [spec.count, rows, columns]);
  const type = STORED_TYPE[stored.dtype];
  const bytes = rowBytes(type, columns) * rows;
  const address = stored.address + BigInt((index ?? 0) * bytes);
  return { stored, address, type, elements: rows * columns, rows, columns, bytes };
}

/** All matrices of an expert. Errors as `findMatrix`. */
export function findExpert(checkpoint: Checkpoint, spec: ExpertsSpec, expert: number): Record<MatrixName, StoredMatrix> {
  const found = MATRICES.map((name) => [name, findMatrix(checkpoint, spec, expert, name)] as const);
  return Object.fromEntries(found) as Record<MatrixName, StoredMatrix>;
}
