import { hold } from '../resources.js';
import { api, type Pointer } from './api.js';
import type { ContextMemory } from './context-memory.js';
import { checkPointer } from './status.js';

/** ggml's numbers for element types. */
export const Type = {
  F32: 0,
  F16: 1,
  Q4_0: 2,
  Q4_1: 3,
  Q5_0: 6,
  Q5_1: 7,
  Q8_0: 8,
  Q2_K: 10,
  Q3_K: 11,
  Q4_K: 12,
  Q5_K: 13,
  Q6_K: 14,
  IQ2_XXS: 16,
  IQ2_XS: 17,
  IQ3_XXS: 18,
  IQ1_S: 19,
  IQ4_NL: 20,
  IQ3_S: 21,
  IQ2_S: 22,
  IQ4_XS: 23,
  I32: 26,
  I64: 27,
  IQ1_M: 29,
  BF16: 30,
  TQ1_0: 34,
  TQ2_0: 35,
  MXFP4: 39,
  NVFP4: 40,
  Q1_0: 41,
  Q2_0: 42,
} as const;
export type Type = (typeof Type)[keyof typeof Type];
export type TypeName = keyof typeof Type;

/** Elements and bytes of one block of each type. */
const BLOCK: Readonly<Record<Type, readonly [elements: number, bytes: number]>> = {
  [Type.F32]: [1, 4],
  [Type.F16]: [1, 2],
  [Type.BF16]: [1, 2],
  [Type.I32]: [1, 4],
  [Type.I64]: [1, 8],
  [Type.Q4_0]: [32, 18],
  [Type.Q4_1]: [32, 20],
  [Type.Q5_0]: [32, 22],
  [Type.Q5_1]: [32, 24],
  [Type.Q8_0]: [32, 34],
  [Type.IQ4_NL]: [32, 18],
  [Type.MXFP4]: [32, 17],
  [Type.NVFP4]: [64, 36],
  [Type.Q2_0]: [64, 18],
  [Type.Q1_0]: [128, 18],
  [Type.Q2_K]: [256, 84],
  [Type.Q3_K]: [256, 110],
  [Type.Q4_K]: [256, 144],
  [Type.Q5_K]: [256, 176],
  [Type.Q6_K]: [256, 210],
  [Type.IQ1_S]: [256, 50],
  [Type.IQ1_M]: [256, 56],
  [Type.IQ2_XXS]: [256, 66],
  [Type.IQ2_XS]: [256, 74],
  [Type.IQ2_S]: [256, 82],
  [Type.IQ3_XXS]: [256, 98],
  [Type.IQ3_S]: [256, 110],
  [Type.IQ4_XS]: [256, 136],
  [Type.TQ1_0]: [256, 54],
  [Type.TQ2_0]: [256, 66],
};

const NAMES = new Map(Object.entries(Type).map(([name, type]) => [type, name as TypeName]));

/** ggml's name of a type, in capitals. */
export function typeName(type: Type): TypeName {
  return NAMES.get(type)!;
}

/** Elements of a block: a row can be cut between blocks only. */
export function blockElements(type: Type): number {
  return BLOCK[type][0];
}

/** Bytes of one block. */
export function blockBytes(type: Type): number {
  return BLOCK[type][1];
}

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

/** Larger contexts take pages of their own, where there is memory for them. */
const MAPPED_BYTES = 1 << 17;

/** Owns the metadata of tensors; the data lies in a buffer of its own. */
export class TensorContext {
  readonly pointer: Pointer;
  readonly free: () => void;
  /** Every tensor made here. */
  readonly tensors: Tensor[] = [];

  /** @param capacity most tensors it will hold; `extra` bytes beyond them (a graph's own); `memory` for large ones */
  constructor(capacity: number, extra = 0, memory?: ContextMemory) {
    const ggml = api();
    const size = capacity * ggml.tensorOverhead() + extra;
    const own = size < MAPPED_BYTES ? undefined : memory?.take(size);
    const made = ggml.init({ mem_size: size, mem_buffer: own?.address ?? null, no_alloc: true });
    if (!made && own) memory!.give(own);
    this.pointer = checkPointer(made, 'a context for tensors');
    this.free = hold(() => {
      ggml.free(this.pointer);
      if (own) memory!.give(own);
    });
  }

  /** A new tensor without data; sizes innermost first. */
  tensor(type: Type, n0: number, n1 = 1, n2 = 1, n3 = 1): Tensor {
    const made = new Tensor(api().newTensor4d(this.pointer, type, n0, n1, n2, n3), type, [n0, n1, n2, n3]);
    this.tensors.push(made);
    return made;
  }

  /** A part of a tensor of this context, which is allocated with it; `offset` in bytes. */
  part(of: Tensor, ne: Extents, offset: number): Tensor {
    const [, nb1, nb2, nb3] = of.strides;
    const pointer = api().view4d(this.pointer, of.pointer, ...ne, nb1, nb2, nb3, offset);
    return new Tensor(pointer, of.type, ne, of.strides);
  }
}
