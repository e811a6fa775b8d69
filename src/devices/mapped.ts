import type { Pointer } from '../ggml/api.js';
import { Buffer } from '../ggml/backend.js';
import { type Tensor, TensorContext, Type } from '../ggml/tensor.js';
import type { Checkpoint, DType, StoredTensor } from '../weights/checkpoint.js';

/** ggml's number for a stored element type. */
export const STORED_TYPE: Readonly<Record<DType, Type>> = { F32: Type.F32, F16: Type.F16, BF16: Type.BF16 };

interface Region {
  address: Pointer;
  end: Pointer;
  buffer: Buffer;
}

/** Tensors over the mapped checkpoint: the CPU computes with them where they lie in the files. */
export class MappedTensors {
  private readonly regions: Region[];
  private readonly contexts: TensorContext[] = [];

  constructor(checkpoint: Checkpoint) {
    this.regions = checkpoint.regions.map(({ address, bytes }) => ({
      address,
      end: address + BigInt(bytes),
      buffer: Buffer.over(address, bytes).markWeights(),
    }));
  }

  /** A matrix [rows, columns] (PyTorch's order) at `address` inside the checkpoint. */
  matrix(stored: StoredTensor, address: Pointer, rows: number, columns: number): Tensor {
    const context = new TensorContext(1);
    this.contexts.push(context);
    const tensor = context.tensor(STORED_TYPE[stored.dtype], columns, rows);
    const region = this.regions.find((r) => address >= r.address && address < r.end)!;
    region.buffer.place(tensor, address);
    return tensor;
  }

  free(): void {
    for (const { buffer } of this.regions) buffer.free();
    for (const context of this.contexts) context.free();
  }
}
