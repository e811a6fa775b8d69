import { FiddlerError } from '../errors.js';
import type { Pointer } from '../ggml/api.js';
import { view } from '../ggml/memory.js';
import { rowBytes, Type } from '../ggml/tensor.js';
import { type Checkpoint, DTYPE_BYTES, type DType, type Region, type StoredTensor } from './checkpoint.js';
import { findScale, unpackFp8 } from './fp8.js';

/** ggml's number for an element type that is computed as it is stored. */
export const STORED_TYPE: Readonly<Record<DType, Type>> = { F32: Type.F32, F16: Type.F16, BF16: Type.BF16 };

/** Numbers of a type that ggml computes with: in memory, or made when they are wanted. */
export type Source = { type: Type; elements: number } & (
  | { address: Pointer }
  | {
      /** Writes all elements. */
      make(target: ArrayBuffer): void;
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
    const make = (target: ArrayBuffer) => unpackFp8(stored, scale, new Uint16Array(target));
    return { type: Type.BF16, elements, make, reads: [stored, scale.stored] };
  }
  const type = typeInPlace(stored);
  const bytes = rowBytes(type, elements);
  const address = stored.address + BigInt((index ?? 0) * bytes);
  return { type, elements, address, reads: [{ address, bytes }] };
}

/** Where element [i, j, k] lies: at offset + i · strides[0] + j · strides[1] + k · strides[2], in elements. */
export interface Layout {
  shape: readonly [number, number, number];
  offset: number;
  strides: readonly [number, number, number];
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
  const array = (numbers: ArrayBuffer) => (type === Type.F32 ? new Uint32Array(numbers) : new Uint16Array(numbers));
  return { type, elements, make: (target) => gather(array(read(source)), array(target), layout), reads };
}

/** The numbers of a source, in memory. */
function read(source: Source): ArrayBuffer {
  const bytes = rowBytes(source.type, source.elements);
  if ('address' in source) return view(source.address, bytes);
  const made = new ArrayBuffer(bytes);
  source.make(made);
  return made;
}

/** Rows and columns of a tile that fits the first cache, read and written. */
const TILE = 32;

function gather(
  from: Uint16Array | Uint32Array,
  to: Uint16Array | Uint32Array,
  { shape, offset, strides }: Layout,
): void {
  const [groups, rows, columns] = shape;
  const [perGroup, perRow, perColumn] = strides;
  for (let group = 0; group < groups; group++) {
    for (let top = 0; top < rows; top += TILE) {
      for (let left = 0; left < columns; left += TILE) {
        for (let r = top; r < Math.min(rows, top + TILE); r++) {
          let at = offset + group * perGroup + r * perRow + left * perColumn;
          const out = (group * rows + r) * columns;
          for (let c = left; c < Math.min(columns, left + TILE); c++, at += perColumn) to[out + c] = from[at]!;
        }
      }
    }
  }
}
