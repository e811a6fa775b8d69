import { FiddlerError } from '../errors.js';
import type { Pointer } from '../ggml/api.js';
import { mapAnonymous, unmap } from '../ggml/memory.js';
import { rowBytes, Type } from '../ggml/tensor.js';
import { type Checkpoint, DTYPE_BYTES, type DType, type Region, type StoredTensor } from './checkpoint.js';
import type { Layout } from './conversions/gather.js';
import type { Convert } from './conversions/index.js';
import { findScale, fp8Conversion } from './fp8.js';

/** ggml's number for an element type that is computed as it is stored. */
export const STORED_TYPE: Readonly<Record<DType, Type>> = { F32: Type.F32, F16: Type.F16, BF16: Type.BF16 };

/** Numbers of a type that ggml computes with: in memory, or made when they are wanted. */
export type Source = { type: Type; elements: number } & (
  | { address: Pointer }
  | {
      /** Writes all elements to `target`. */
      make(target: Pointer, convert: Convert): void;
    }
);

/** Numbers of a checkpoint, and the parts of its files that they are read from. */
export type StoredSource = Source & { reads: readonly Region[] };

/** @throws FiddlerError `file` unless the tensor has the shape that the config implies */
export function checkShape(stored: StoredTensor, expected: readonly number[]): void {
  if (stored.shape.length === expected.length && stored.shape.every((n, i) => n === expected[i])) return;
  throw new FiddlerError(
    'file',
    `${stored.file}: tensor ${stored.name} has shape [${stored.shape}], but config.json implies [${expected}]`,
    'check that config.json and the weights are of the same model',
  );
}

/** The type in which a tensor's numbers lie in the file. @throws FiddlerError `unsupported` where ggml has none */
export function typeInPlace(stored: StoredTensor): Type {
  const { dtype, name, file } = stored;
  if (Object.hasOwn(STORED_TYPE, dtype)) return STORED_TYPE[dtype as DType];
  throw new FiddlerError(
    'unsupported',
    `tensor ${name} in ${file} has type ${dtype}`,
    `use a checkpoint that stores it as ${Object.keys(DTYPE_BYTES).join(', ')}`,
  );
}

/**
 * Finds a tensor in the type in which it is computed; FP8 matrices become bf16.
 * @param shape that it must have, outermost dimension first
 * @param index takes only this one along the first dimension
 * @throws FiddlerError `file` or `unsupported`
 */
export function findSource(
  checkpoint: Checkpoint,
  name: string,
  shape: readonly number[],
  index?: number,
): StoredSource {
  const stored = checkpoint.get(name);
  checkShape(stored, shape);
  const taken = index === undefined ? shape : shape.slice(1);
  const elements = taken.reduce((a, b) => a * b, 1);
  if (stored.dtype === 'F8_E4M3') {
    const scale = findScale(checkpoint, stored);
    const conversion = fp8Conversion(stored, scale);
    return {
      type: Type.BF16,
      elements,
      make: (target, convert) => convert(conversion, target),
      reads: [stored, scale.stored],
    };
  }
  const type = typeInPlace(stored);
  const bytes = rowBytes(type, elements);
  const address = stored.address + BigInt((index ?? 0) * bytes);
  return { type, elements, address, reads: [{ address, bytes }] };
}

/** Part of a source of 16-bit or 32-bit numbers, put in order; in place where it is in order already. */
export function rearranged(source: StoredSource, layout: Layout): StoredSource {
  const { shape, offset, strides } = layout;
  const [, rows, columns] = shape;
  const { type, reads } = source;
  const elements = shape.reduce((a, b) => a * b, 1);
  const ordered = [rows * columns, columns, 1].every((stride, i) => shape[i] === 1 || strides[i] === stride);
  if (ordered && 'address' in source) {
    return { type, elements, address: source.address + BigInt(rowBytes(type, offset)), reads };
  }
  const width = type === Type.F32 ? 4 : 2;
  const result = { rows: shape[0] * rows, rowBytes: columns * width, band: 1 };
  const bytes = rowBytes(type, source.elements);
  return {
    type,
    elements,
    reads,
    make: (target, convert) =>
      withNumbers(source, convert, (from) =>
        convert({ kind: 'gather', ...result, from, bytes, width, layout }, target),
      ),
  };
}

/** Calls `use` with the address of a source's numbers, which are made where they are not in memory. */
function withNumbers(source: Source, convert: Convert, use: (from: Pointer) => void): void {
  if ('address' in source) {
    use(source.address);
    return;
  }
  const made = mapAnonymous('numbers to rearrange', rowBytes(source.type, source.elements));
  try {
    source.make(made.address, convert);
    use(made.address);
  } finally {
    unmap(made);
  }
}
