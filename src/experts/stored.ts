import { FiddlerError } from '../errors.js';
import type { Pointer } from '../native/ggml/api.js';
import { Type } from '../native/ggml/tensor.js';
import { view } from '../native/os/memory.js';
import type { Checkpoint } from '../weights/checkpoint.js';
import { findMxfp4, mxfp4Tensors } from '../weights/mxfp4.js';
import { factorBeside, nvfp4Blocks } from '../weights/nvfp4.js';
import { checkShape, findSource, rearranged, type StoredSource } from '../weights/source.js';
import { type ByMatrix, mapMatrices, matrixEntries } from './activations.js';
import { type ExpertMatrices, type ExpertMatrix, type ExpertsSpec, matrixShape } from './spec.js';

/** One matrix of an expert, or one of its biases as a single row. */
export type StoredMatrix = StoredSource & {
  /** PyTorch's order. */
  rows: number;
  columns: number;
};

/** An expert in the checkpoint. */
export interface StoredExpert extends ByMatrix<StoredMatrix> {
  /** Or a factor for each matrix. */
  biases?: ByMatrix<StoredMatrix>;
}

/** All of an expert. @throws FiddlerError `file` where something is missing or its shape is not the config's */
export function findExpert(checkpoint: Checkpoint, spec: ExpertsSpec, expert: number): StoredExpert {
  const [biases, scales] = [spec.biases?.(expert), spec.scales?.(expert)];
  return {
    ...mapMatrices(matricesIn(checkpoint, spec)(expert), (m, name) =>
      findMatrix(checkpoint, spec, m, matrixShape(spec, name)),
    ),
    biases: biases
      ? mapMatrices(biases, (b, name) => findBias(checkpoint, spec, b, matrixShape(spec, name)[0]))
      : scales && mapMatrices(scales, (s) => findFactor(checkpoint, spec, s)),
  };
}

/** How that checkpoint holds the matrices: as published where it has them neither so nor in another way that is known. */
export function matricesIn({ tensors }: Checkpoint, spec: ExpertsSpec): ExpertMatrices {
  const { matrices, alternatives } = spec;
  if (!alternatives) return matrices;
  const ways = [matrices, ...alternatives].map((way) => ({ way, wanted: matrixTensors(spec, way(0)) }));
  const fits = ways.find(({ wanted }) => wanted.every((t) => tensors.get(t.name)?.shape.join() === t.shape.join()));
  const named = () => ways.find(({ wanted }) => wanted.every((t) => tensors.has(t.name)));
  return (fits ?? named())?.way ?? matrices;
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

/** The tensors that hold an expert, or those of all, as the model is published. */
export function wantedTensors(spec: ExpertsSpec, expert: number): WantedTensor[] {
  const matrices = matrixTensors(spec, spec.matrices(expert));
  if (!spec.biases) return matrices;
  const biases = matrixEntries(spec.biases(expert)).map(([name, bias]) => {
    return { name: bias.name, shape: biasShape(spec, bias, matrixShape(spec, name)[0]), dtype: 'BF16' as const };
  });
  return [...matrices, ...biases];
}

function matrixTensors(spec: ExpertsSpec, matrices: Readonly<ByMatrix<ExpertMatrix>>): WantedTensor[] {
  return matrixEntries(matrices).flatMap(([name, matrix]): WantedTensor[] => {
    const { packing, name: tensor, rows: part } = matrix;
    const [rows, columns] = matrixShape(spec, name);
    if (packing === undefined) {
      return [{ name: tensor, shape: storedShape(spec, matrix, [rows, columns]), dtype: 'BF16' }];
    }
    const { blocks, scales } = mxfp4Tensors(tensor, packing, [spec.count, part?.of ?? rows, columns]);
    return [
      { name: blocks.name, shape: blocks.shape, dtype: 'U8' },
      { name: scales.name, shape: scales.shape, dtype: 'U8', byte: MXFP4_SCALE },
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
  if (packing) {
    const taken = { count: packing === 'apart' ? 1 : spec.count, index: index ?? 0, rows: { from, of, step } };
    return { ...findMxfp4(checkpoint, { name, packing }, taken, columns), rows, columns };
  }
  const shape = storedShape(spec, matrix, [rows, columns]);
  const stored = checkpoint.tensors.get(name);
  if (stored?.dtype === 'E2M1') {
    checkShape(stored, shape);
    return { ...nvfp4Blocks(stored), rows, columns };
  }
  const whole = findSource(checkpoint, name, shape, index);
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

/** One number of a tensor [count], or of one alone; 1 where there is none. */
function findFactor(checkpoint: Checkpoint, { count }: ExpertsSpec, { name, index }: ExpertMatrix): StoredMatrix {
  const shape = { rows: 1, columns: 1 };
  if (index !== undefined || checkpoint.tensors.has(name))
    return { ...findSource(checkpoint, name, [index === undefined ? 1 : count], index), ...shape };
  const make = (target: Pointer) => new Float32Array(view(target, 4)).fill(1);
  return { type: Type.F32, elements: 1, make, reads: [], ...shape };
}

/**
 * Factors of the matrices in NVFP4; undefined where the checkpoint holds none of a layer so.
 * @throws FiddlerError `unsupported`: experts that have biases
 */
export function factorsIn(checkpoint: Checkpoint, spec: ExpertsSpec): ExpertMatrices | undefined {
  const way = matricesIn(checkpoint, spec);
  const packed = matrixEntries(way(0)).find(([, { name }]) => checkpoint.tensors.get(name)?.dtype === 'E2M1');
  if (!packed) return undefined;
  if (spec.biases) {
    const problem = `tensor ${packed[1].name} is in NVFP4, of an expert with biases`;
    throw new FiddlerError('unsupported', problem, 'use the same model in bf16');
  }
  return (e) => mapMatrices(way(e), ({ name }) => ({ name: factorBeside(name) }));
}
