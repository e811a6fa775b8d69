import { api, type Pointer } from './api.js';
import { checkPointer } from './status.js';

/** ggml's numbers for element types. */
export const Type = { F32: 0, F16: 1, Q8_0: 8, I32: 26, I64: 27, BF16: 30, MXFP4: 39 } as const;
export type Type = (typeof Type)[keyof typeof Type];

/** Elements and bytes of one block of each type. */
const BLOCK: Readonly<Record<Type, readonly [elements: number, bytes: number]>> = {
  [Type.F32]: [1, 4],
  [Type.F16]: [1, 2],
  [Type.BF16]: [1, 2],
  [Type.I32]: [1, 4],
  [Type.I64]: [1, 8],
  [Type.Q8_0]: [32, 34],
  [Type.MXFP4]: [32, 17],
};

/** Bytes of one row of `elements` elements. */
export function rowBytes(type: Type, elements: number): number {
  const [perBlock, bytes] = BLOCK[type];
  return (elements / perBlock) * bytes;
}

/** Sizes in ggml's order, innermost first; the reverse of PyTorch's. */
export type Extents = readonly [number, number, number, number];

/** A tensor of ggml with what JavaScript needs to know of it. */
export class Tensor {
  /** Bytes from one element to the next along each dimension. */
  readonly strides: Extents;
  private known: Pointer = 0n;

  constructor(
    readonly pointer: Pointer,
    readonly type: Type,
    readonly ne: Extents,
    strides?: Extents,
  ) {
    this.strides = strides ?? contiguousStrides(type, ne);
  }

  /** Bytes of the whole tensor when contiguous. */
  get bytes(): number {
    return rowBytes(this.type, this.ne[0]) * this.ne[1] * this.ne[2] * this.ne[3];
  }

  /** Address of the data, once allocated. */
  get address(): Pointer {
    this.known ||= api().getData(this.pointer);
    return this.known;
  }
}

export function contiguousStrides(type: Type, ne: Extents): Extents {
  const row = rowBytes(type, ne[0]);
  return [rowBytes(type, BLOCK[type][0]), row, row * ne[1], row * ne[1] * ne[2]];
}

/** Owns the metadata of tensors; the data lies in a buffer of its own. */
export class TensorContext {
  readonly pointer: Pointer;
  /** Every tensor made here. */
  readonly tensors: Tensor[] = [];

  /** @param capacity most tensors it will hold; `extra` bytes beyond them (a graph's own). */
  constructor(capacity: number, extra = 0) {
    const ggml = api();
    const size = capacity * ggml.tensorOverhead() + extra;
    this.pointer = checkPointer(
      ggml.init({ mem_size: size, mem_buffer: null, no_alloc: true }),
      'a context for tensors',
    );
  }

  /** A new tensor without data; sizes innermost first. */
  tensor(type: Type, n0: number, n1 = 1, n2 = 1, n3 = 1): Tensor {
    const made = new Tensor(api().newTensor4d(this.pointer, type, n0, n1, n2, n3), type, [n0, n1, n2, n3]);
    this.tensors.push(made);
    return made;
  }

  free(): void {
    api().free(this.pointer);
  }
}
