/** Element types a checkpoint may hold, by their safetensors names. */
export type DType = 'F32' | 'F16' | 'BF16';

/** Bytes of one element of each type. */
export const DTYPE_BYTES: Readonly<Record<DType, number>> = { F32: 4, F16: 2, BF16: 2 };

/** One tensor as it lies in the mapped file, row-major, outermost dimension first as in PyTorch. */
export interface StoredTensor {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Address of the first byte in this process's mapping of the file. */
  readonly address: bigint;
  /** product(shape) × bytes of an element. */
  readonly bytes: number;
  /** The file it lies in, for error messages. */
  readonly file: string;
}

/** A model's weights: mapped into memory, every header field checked. The same for every file format. */
export interface Checkpoint {
  /** The mapped memory in which all tensors lie, page-aligned. */
  readonly regions: readonly { address: bigint; bytes: number }[];
  /** Every tensor of a type in {@link DType}; one of another type is known to `get` alone. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /**
   * The tensor of that name.
   * @throws FiddlerError `file` (the checkpoint has none), `unsupported` (it is of a type that is not in {@link DType})
   */
  get(name: string): StoredTensor;
  /** Gives the physical pages wholly inside [address, address + bytes) back to the system; reading them maps them in again. */
  release(address: bigint, bytes: number): void;
  /** Unmaps every file. No address of this checkpoint may be used afterwards. */
  close(): void;
}
