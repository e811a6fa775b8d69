import type { TypeName } from '../native/ggml/tensor.js';

/** Element types that are computed with as they are stored, by ggml's names; those of safetensors are the same. */
export type DType = Exclude<TypeName, 'I32' | 'I64'>;

/** Of these, those of a single number, which safetensors files may hold. */
export type PlainDType = 'F32' | 'F16' | 'BF16';

/** Every element type a checkpoint may hold: these, FP8 (arXiv 2209.05433) and its scales, NVFP4's numbers with scales apart, bytes of whatever is packed in them, and integers. */
export type StoredDType = DType | 'F8_E4M3' | 'F8_E8M0' | 'E2M1' | 'U8' | 'I8' | 'I32' | 'I64';

/** Bytes of one element of each type that safetensors files hold. */
export const DTYPE_BYTES: Readonly<Record<PlainDType, number>> = { F32: 4, F16: 2, BF16: 2 };
export const STORED_BYTES = {
  ...DTYPE_BYTES,
  F8_E4M3: 1,
  F8_E8M0: 1,
  U8: 1,
  I8: 1,
  I32: 4,
  I64: 8,
} as const satisfies {
  [T in StoredDType]?: number;
};

/** One tensor as it lies in the mapped file, row-major, outermost dimension first as in PyTorch. */
export interface StoredTensor {
  readonly name: string;
  readonly dtype: StoredDType;
  readonly shape: readonly number[];
  /** Address of the first byte in this process's mapping of the file. */
  readonly address: bigint;
  /** product(shape) × bytes of an element, or of a block by its elements. */
  readonly bytes: number;
  /** The file it lies in, for error messages. */
  readonly file: string;
  /** Of E2M1 numbers: E4M3, one for 16 of a row. */
  readonly scales?: Region;
  /** Changes its numbers, as float32, to those that the model was published with. */
  readonly undo?: (values: Float32Array) => void;
}

/** Bytes of the mapped files. */
export interface Region {
  readonly address: bigint;
  readonly bytes: number;
}

export type ScaleBlock = readonly [rows: number, columns: number];

/** A model's weights: mapped into memory, every header field checked. The same for every file format. */
export interface Checkpoint {
  /** The mapped memory in which all tensors lie, page-aligned. */
  readonly regions: readonly Region[];
  /** Rows and columns of the blocks in which an FP8 matrix has one scale. */
  readonly scaleBlock?: ScaleBlock;
  /** Every tensor of a type in {@link StoredDType}; one of another type is known to `get` alone. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /**
   * The tensor of that name.
   * @throws FiddlerError `file` (the checkpoint has none), `unsupported` (it is of a type that is not in {@link StoredDType})
   */
  get(name: string): StoredTensor;
  /** Gives the physical pages wholly inside [address, address + bytes) back to the system; reading them maps them in again. */
  release(address: bigint, bytes: number): void;
  /** Unmaps every file. No address of this checkpoint may be used afterwards. */
  close(): void;
}
