import type { Checkpoint } from '../weights/checkpoint.js';
import { findMxfp4, mxfp4Shapes } from '../weights/mxfp4.js';
import { findSource, rearranged, type StoredSource } from '../weights/source.js';
import { type ByMatrix, mapMatrices, matrixEntries } from './activations.js';
import { type ExpertMatrix, type ExpertsSpec, matrixShape } from './spec.js';

/** One matrix of an expert, or one of its biases as a single row. */
export type StoredMatrix = StoredSource & {
  /** PyTorch's order. */
  rows: number;
  columns: number;
};

/** An expert in the checkpoint. */
export interface StoredExpert extends ByMatrix<StoredMatrix> {
  biases?: ByMatrix<StoredMatrix>;
}

/** All of an expert. @throws FiddlerError `file` where something is missing or its shape is not the config's */
export function findExpert(checkpoint: Checkpoint, spec: ExpertsSpec, expert: number): StoredExpert {
  const biases = spec.biases?.(expert);
  return {
    ...mapMatrices(spec.matrices(expert), (m, name) => findMatrix(checkpoint, spec, m, matrixShape(spec, name))),
    biases: biases && mapMatrices(biases, (b, name) => findBias(checkpoint, spec, b, matrixShape(spec, name)[0])),
  };
}

/** A tensor that a checkpoint must have, as one without files stores it. */
export interface WantedTensor {
  name: string;
  shape: readonly number[];
  dtype: 'BF16' | 'U8';
  /** What every byte may be. */
  byte?: number;
}

/** E8M0 for 2⁻⁷: numbers of MXFP4 whose bits are random then deviate by about 0.02. */
const MXFP4_SCALE = 120;

/** The tensors that hold an expert, or those of all. */
export function wantedTensors(spec: ExpertsSpec, expert: number): WantedTensor[] {
  const biases = spec.biases?.(expert);
  return matrixEntries(spec.matrices(expert)).flatMap(([name, matrix]) => {
    const { packing, name: tensor, rows: part } = matrix;
    const [rows, columns] = matrixShape(spec, name);
    const stored = biases?.[name];
    const bias = stored && { name: stored.name, shape: biasShape(spec, stored, rows), dtype: 'BF16' as const };
    if (packing === undefined) {
      const shape = storedShape(spec, matrix, [rows, columns]);
      return [{ name: tensor, shape, dtype: 'BF16' as const }, ...(bias ? [bias] : [])];
    }
    const { blocks, scales } = mxfp4Shapes(spec.count, part?.of ?? rows, columns);
    return [
      { name: `${tensor}_blocks`, shape: blocks, dtype: 'U8' as const },
      { name: `${tensor}_scales`, shape: scales, dtype: 'U8' as const, byte: MXFP4_SCALE },
      ...(bias ? [bias] : []),
    ];
  });
}

/** Shape of the tensor in which a matrix [rows, columns] lies. */
function storedShape(
  { count }: ExpertsSpec,
  { index, rows: part, transposed }: ExpertMatrix,
  [rows, columns]: readonly [number, number],
): number[] {
  const of = part?.of ?? rows;
  const shape = transposed ? [columns, of] : [of, columns];
  return index === undefined ? shape : [count, ...shape];
}

function biasShape({ count }: ExpertsSpec, { index, rows: part }: ExpertMatrix, size: number): number[] {
  const of = part?.of ?? size;
  return index === undefined ? [of] : [count, of];
}

function findMatrix(
  checkpoint: Checkpoint,
  spec: ExpertsSpec,
  matrix: ExpertMatrix,
  [rows, columns]: readonly [number, number],
): StoredMatrix {
  const { name, index, rows: part, transposed, packing } = matrix;
  const { from, of, step = 1 } = part ?? { from: 0, of: rows };
  if (packing === 'mxfp4') {
    const taken = { count: spec.count, index: index ?? 0, rows: { from, of, step } };
    return { ...findMxfp4(checkpoint, name, taken, columns), rows, columns };
  }
  const whole = findSource(checkpoint, name, storedShape(spec, matrix, [rows, columns]), index);
  const layout = transposed
    ? { offset: from, strides: [0, step, of] as const }
    : { offset: from * columns, strides: [0, step * columns, 1] as const };
  return { ...rearranged(whole, { shape: [1, rows, columns], ...layout }), rows, columns };
}

function findBias(checkpoint: Checkpoint, spec: ExpertsSpec, bias: ExpertMatrix, size: number): StoredMatrix {
  const { from = 0, step = 1 } = bias.rows ?? {};
  const whole = findSource(checkpoint, bias.name, biasShape(spec, bias, size), bias.index);
  const layout = { shape: [1, 1, size], offset: from, strides: [0, 0, step] } as const;
  return { ...rearranged(whole, layout), rows: 1, columns: size };
}
