import { findMxfp4 } from '../weights/mxfp4.js';
import type { Checkpoint } from '../weights/checkpoint.js';
import { findSource, rearranged, type StoredSource } from '../weights/source.js';
import { MATRICES, type MatrixName } from './expert.js';
import { type ExpertMatrix, type ExpertsSpec, matrixShape } from './spec.js';

/** One matrix of an expert, or one of its biases as a single row. */
export type StoredMatrix = StoredSource & {
  /** PyTorch's order. */
  rows: number;
  columns: number;
};

/** An expert in the checkpoint. */
export interface StoredExpert extends Record<MatrixName, StoredMatrix> {
  biases?: Record<MatrixName, StoredMatrix>;
}

/** All of an expert. @throws FiddlerError `file` where something is missing or its shape is not the config's */
export function findExpert(checkpoint: Checkpoint, spec: ExpertsSpec, expert: number): StoredExpert {
  const matrices = spec.matrices(expert);
  const biases = spec.biases?.(expert);
  return {
    ...each((name) => findMatrix(checkpoint, spec, matrices[name], matrixShape(spec, name))),
    biases: biases && each((name) => findBias(checkpoint, spec, biases[name], matrixShape(spec, name)[0])),
  };
}

/** Something for each of an expert's matrices. */
export function each<T>(of: (name: MatrixName) => T): Record<MatrixName, T> {
  return Object.fromEntries(MATRICES.map((name) => [name, of(name)])) as Record<MatrixName, T>;
}

function findMatrix(
  checkpoint: Checkpoint,
  { count }: ExpertsSpec,
  { name, index, rows: part, transposed, packing }: ExpertMatrix,
  [rows, columns]: readonly [number, number],
): StoredMatrix {
  const { from, of, step = 1 } = part ?? { from: 0, of: rows };
  if (packing === 'mxfp4') {
    const source = findMxfp4(checkpoint, name, { count, index: index ?? 0, rows: { from, of, step } }, columns);
    return { ...source, rows, columns };
  }
  const shape = transposed ? [columns, of] : [of, columns];
  const whole = findSource(checkpoint, name, index === undefined ? shape : [count, ...shape], index);
  const layout = transposed
    ? { offset: from, strides: [0, step, of] as const }
    : { offset: from * columns, strides: [0, step * columns, 1] as const };
  return { ...rearranged(whole, { shape: [1, rows, columns], ...layout }), rows, columns };
}

function findBias(
  checkpoint: Checkpoint,
  { count }: ExpertsSpec,
  { name, index, rows: part }: ExpertMatrix,
  size: number,
): StoredMatrix {
  const { from, of, step = 1 } = part ?? { from: 0, of: size };
  const whole = findSource(checkpoint, name, index === undefined ? [of] : [count, of], index);
  const layout = { shape: [1, 1, size], offset: from, strides: [0, 0, step] } as const;
  return { ...rearranged(whole, layout), rows: 1, columns: size };
}
