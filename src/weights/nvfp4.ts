import { FiddlerError } from '../errors.js';
import type { Pointer } from '../native/ggml/api.js';
import { rowBytes, Type } from '../native/ggml/tensor.js';
import { view } from '../native/os/memory.js';
import type { Checkpoint, Region, StoredTensor } from './checkpoint.js';
import type { Convert } from './conversions/index.js';
import { SUB_BLOCK, SUPER_BLOCK } from './conversions/nvfp4.js';

/**
 * How files hold a matrix [rows, columns] in NVFP4 under the names that begin with its own without `weight`: numbers of
 * E2M1 as U8 [rows, columns / 2], 2i and 2i + 1 the low and high half of byte i; a scale of E4M3 for 16 of a row [rows,
 * columns / 16]; and one float32 number, which multiplies all (NVIDIA's Model Optimizer) or divides them
 * (compressed-tensors). What scales inputs is for those who compute with inputs in that type.
 */
const WAYS = [
  { numbers: 'weight', factor: 'weight_scale_2', divides: false, ofInputs: 'input_scale' },
  { numbers: 'weight_packed', factor: 'weight_global_scale', divides: true, ofInputs: 'input_global_scale' },
] as const;
const SCALES = 'weight_scale';
/** Multiplies inputs before such a matrix (AWQ). */
const BEFORE = 'pre_quant_scale';

/** The tensor with the number that multiplies a matrix in NVFP4. */
export function factorBeside(matrix: string): string {
  return matrix.replace(/\.weight$/, '.weight_factor');
}

/**
 * Tensors of files with those that make up matrices in NVFP4 as one matrix each, `.weight` of type E2M1 [rows, columns],
 * and the number that multiplies it, `.weight_factor` [1].
 * @throws FiddlerError `file` or `unsupported`
 */
export function withNvfp4(stored: ReadonlyMap<string, StoredTensor>): Map<string, StoredTensor> {
  const tensors = new Map(stored);
  for (const [name, scales] of stored) {
    if (!name.endsWith(`.${SCALES}`) || scales.dtype !== 'F8_E4M3') continue;
    const stem = name.slice(0, -SCALES.length);
    const way = WAYS.find(({ numbers }) => stored.get(stem + numbers)?.dtype === 'U8');
    if (!way) continue;
    const factor = stored.get(stem + way.factor) ?? refuse(scales, `has no ${way.factor} beside it`);
    const numbers = stored.get(stem + way.numbers)!;
    const matrix = matrixOf(`${stem}weight`, numbers, scales);
    if (factor.dtype !== 'F32' || factor.bytes !== 4) refuse(factor, `is ${factor.dtype} of ${factor.bytes} bytes`);
    if (stored.has(stem + BEFORE)) {
      const problem = `${numbers.file}: tensor ${stem}${BEFORE} scales inputs of a matrix`;
      throw new FiddlerError('unsupported', problem, 'use a model that is quantized without');
    }
    for (const part of [way.numbers, SCALES, way.factor, way.ofInputs]) tensors.delete(stem + part);
    tensors.set(matrix.name, matrix);
    const single = { ...factor, name: factorBeside(matrix.name), shape: [1] };
    tensors.set(single.name, way.divides ? { ...single, undo: invert } : single);
  }
  return tensors;
}

function matrixOf(name: string, numbers: StoredTensor, scales: StoredTensor): StoredTensor {
  const [rows, half] = numbers.shape as [number, number];
  const expected = [rows, (2 * half) / SUB_BLOCK];
  if (numbers.shape.length !== 2 || scales.shape.join() !== expected.join()) {
    refuse(scales, `has shape [${scales.shape}] for packed numbers [${numbers.shape}]`);
  }
  return { ...numbers, name, dtype: 'E2M1', shape: [rows, 2 * half], scales };
}

function refuse({ file, name }: StoredTensor, problem: string): never {
  throw new FiddlerError('file', `${file}: tensor ${name} ${problem}`, 'download the model again');
}

function invert(values: Float32Array): void {
  values[0] = 1 / values[0]!;
}

/** Numbers that are made, and the type in which they are held where none is asked for, if it is another. */
interface Made {
  type: Type;
  held?: Type;
  elements: number;
  reads: Region[];
  make(target: Pointer, convert: Convert): void;
}

/** A matrix in NVFP4 as ggml's blocks, which leave its factor out. @throws FiddlerError `unsupported`: rows end within a block */
export function nvfp4Blocks(matrix: StoredTensor): Made {
  const [rows, columns] = matrix.shape as [number, number];
  if (columns % SUPER_BLOCK !== 0) {
    const problem = `tensor ${matrix.name} in ${matrix.file} has rows of ${columns} numbers in NVFP4, whose blocks have ${SUPER_BLOCK}`;
    throw new FiddlerError('unsupported', problem, 'use the same model in bf16');
  }
  const bytes = rowBytes(Type.NVFP4, columns);
  return {
    type: Type.NVFP4,
    elements: rows * columns,
    reads: readsOf(matrix),
    make: (target, convert) =>
      convert({ kind: 'nvfp4', rows, rowBytes: bytes, band: 1, columns, ...partsOf(matrix) }, target),
  };
}

/** The same as numbers, its factor in them: exact as float32, and held as bf16 where nothing else is asked for. */
export function nvfp4Numbers(checkpoint: Checkpoint, matrix: StoredTensor): Made {
  const [rows, columns] = matrix.shape as [number, number];
  const factor = checkpoint.get(factorBeside(matrix.name));
  return {
    type: Type.F32,
    held: Type.BF16,
    elements: rows * columns,
    reads: readsOf(matrix),
    make: (target, convert) => {
      const value = new Float32Array(view(factor.address, 4).slice(0));
      factor.undo?.(value);
      const parts = { ...partsOf(matrix), factor: value[0]! };
      convert({ kind: 'e2m1', rows, rowBytes: 4 * columns, band: 1, columns, ...parts }, target);
    },
  };
}

const readsOf = ({ address, bytes, scales }: StoredTensor): Region[] => [{ address, bytes }, scales!];
const partsOf = ({ address, scales }: StoredTensor) => ({ numbers: address, scales: scales!.address });
