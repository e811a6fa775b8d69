import { FiddlerError } from '../errors.js';
import type { Pointer } from '../native/ggml/api.js';
import { dequantize } from '../native/ggml/dequantize.js';
import { blockElements, rowBytes, Type } from '../native/ggml/tensor.js';
import { mapAnonymous, unmap, view } from '../native/os/memory.js';
import { type Checkpoint, DTYPE_BYTES, type DType, type Region, type StoredTensor } from './checkpoint.js';
import type { Layout } from './conversions/gather.js';
import type { Convert } from './conversions/index.js';
import { fp8Matrix } from './fp8.js';
import { nvfp4Numbers } from './nvfp4.js';

/** Numbers of a type that ggml computes with: in memory, or made when they are wanted. */
export type Source = { type: Type; elements: number } & (
  | { address: Pointer }
  | {
      /** Writes all elements to `target`. */
      make(target: Pointer, convert: Convert): void;
    }
);

/** Numbers of a checkpoint, and the parts of its files that they are read from. */
export type StoredSource = Source & {
  reads: readonly Region[];
  /** The type in which they are held where none is asked for, if it is not that in which they are made. */
  held?: Type;
  /** The type in which experts are held where none is asked for: about as many bytes a number as in the files. */
  compact?: Type;
};

/** @throws FiddlerError `file` unless the tensor has the shape that the config implies; ones count for nothing */
export function checkShape(stored: StoredTensor, expected: readonly number[]): void {
  if (withoutOnes(stored.shape).join() === withoutOnes(expected).join()) return;
  throw new FiddlerError(
    'file',
    `${stored.file}: tensor ${stored.name} has shape [${stored.shape}], but config.json implies [${expected}]`,
    'check that config.json and the weights are of the same model',
  );
}

function withoutOnes(shape: readonly number[]): readonly number[] {
  return shape.filter((n) => n !== 1);
}

/** The type in which a tensor's numbers lie in the file. @throws FiddlerError `unsupported` where ggml has none */
export function typeInPlace(stored: StoredTensor): Type {
  const { dtype, name, file } = stored;
  if (Object.hasOwn(Type, dtype) && dtype !== 'I32' && dtype !== 'I64') return Type[dtype as DType];
  throw new FiddlerError(
    'unsupported',
    `tensor ${name} in ${file} has type ${dtype}`,
    `use a checkpoint that stores it as ${Object.keys(DTYPE_BYTES).join(', ')}`,
  );
}

/**
 * Finds a tensor in the type in which it is computed; FP8 matrices become bf16, or those of experts Q8_0, those in NVFP4 float32.
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
    const { conversion, reads } = fp8Matrix(checkpoint, stored, index);
    const make = (target: Pointer, convert: Convert) => convert(conversion, target);
    return { type: Type.BF16, compact: Type.Q8_0, elements, make, reads };
  }
  if (stored.dtype === 'E2M1') return nvfp4Numbers(checkpoint, stored);
  const type = typeInPlace(stored);
  const bytes = rowBytes(type, elements);
  const address = stored.address + BigInt((index ?? 0) * bytes);
  const reads = [{ address, bytes }];
  return stored.undo ? undone(stored, elements, reads) : { type, elements, address, reads };
}

/** A tensor's numbers as the model was published with them, as float32. */
function undone({ undo, dtype, address }: StoredTensor, elements: number, reads: Region[]): StoredSource {
  const make = (target: Pointer) => {
    const values = new Float32Array(view(target, 4 * elements));
    if (dtype === 'F32') values.set(new Float32Array(view(address, 4 * elements)));
    else dequantize(Type[dtype as DType], address, target, elements);
    undo!(values);
  };
  return { type: Type.F32, elements, make, reads };
}

/** Part of a source, put in order; as it is where it is in order already, and else float32 where it is in blocks. */
export function rearranged(stored: StoredSource, layout: Layout): StoredSource {
  const { shape, offset, strides } = layout;
  const [, rows, columns] = shape;
  const elements = shape.reduce((a, b) => a * b, 1);
  const ordered = [rows * columns, columns, 1].every((stride, i) => shape[i] === 1 || strides[i] === stride);
  if (ordered && 'address' in stored) {
    const { type } = stored;
    const address = stored.address + BigInt(rowBytes(type, offset));
    return { type, elements, address, reads: [{ address, bytes: rowBytes(type, elements) }] };
  }
  if (ordered && offset === 0 && elements === stored.elements) return { ...stored, held: undefined };
  const source = inNumbers(stored);
  const { type, compact, reads } = source;
  const width = type === Type.F32 ? 4 : 2;
  const result = { rows: shape[0] * rows, rowBytes: columns * width, band: 1 };
  const bytes = rowBytes(type, source.elements);
  return {
    type,
    compact,
    elements,
    reads,
    make: (target, convert) =>
      withNumbers(source, convert, (from) =>
        convert({ kind: 'gather', ...result, from, bytes, width, layout }, target),
      ),
  };
}

/** The same as numbers that lie alone. */
function inNumbers(source: StoredSource): StoredSource {
  const { type, elements, reads } = source;
  if (blockElements(type) === 1) return source;
  const make = (target: Pointer, convert: Convert) =>
    withNumbers(source, convert, (from) => dequantize(type, from, target, elements));
  return { type: Type.F32, elements, reads, make };
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
