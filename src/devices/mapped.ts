import type { Pointer } from '../native/ggml/api.js';
import { Buffer } from '../native/ggml/backend.js';
import { type Tensor, TensorContext, type Type } from '../native/ggml/tensor.js';
import type { Checkpoint, StoredTensor } from '../weights/checkpoint.js';
import { typeInPlace } from '../weights/source.js';

interface Region {
  address: Pointer;
  end: Pointer;
  buffer: Buffer;
}

/** Tensors over the mapped checkpoint: the CPU computes with them where they lie in the files. */
export class MappedTensors {
  private readonly regions: Region[];

  constructor(checkpoint: Checkpoint) {
    this.regions = checkpoint.regions.map(({ address, bytes }) => ({
      address,
      end: address + BigInt(bytes),
      buffer: Buffer.over(address, bytes).markWeights(),
    }));
  }

  /** A stored matrix [rows, columns] (PyTorch's order). @throws FiddlerError `unsupported` */
  matrix(stored: StoredTensor, rows: number, columns: number): Tensor {
    return this.at(stored.address, typeInPlace(stored), rows, columns);
  }

  /** A matrix [rows, columns] (PyTorch's order) at `address` inside the checkpoint. */
  at(address: Pointer, type: Type, rows: number, columns: number): Tensor {
    const tensor = new TensorContext(1).tensor(type, columns, rows);
    const region = this.regions.find((r) => address >= r.address && address < r.end)!;
    region.buffer.place(tensor, address);
    return tensor;
  }
}
