import type { Pointer } from '../native/ggml/api.js';
import { Buffer } from '../native/ggml/backend.js';
import { type Tensor, TensorContext, type Type } from '../native/ggml/tensor.js';
import type { Checkpoint, StoredTensor } from '../weights/checkpoint.js';
import { typeInPlace } from '../weights/source.js';

interface Region {
  address: Pointer;
  end: Pointer;
  /** Bytes of the regions before it. */
  before: number;
  buffer: Buffer;
}

/** Tensors over the mapped checkpoint: the CPU computes with them where they lie in the files. */
export class MappedTensors {
  private readonly regions: Region[];

  constructor(checkpoint: Checkpoint) {
    let before = 0;
    this.regions = checkpoint.regions.map(({ address, bytes }) => {
      const buffer = Buffer.over(address, bytes).markWeights();
      const region = { address, end: address + BigInt(bytes), before, buffer };
      before += bytes;
      return region;
    });
  }

  /** A stored matrix [rows, columns] (PyTorch's order). @throws FiddlerError `unsupported` */
  matrix(stored: StoredTensor, rows: number, columns: number): Tensor {
    return this.at(stored.address, typeInPlace(stored), rows, columns);
  }

  /** A matrix [rows, columns] (PyTorch's order) at `address` inside the checkpoint. */
  at(address: Pointer, type: Type, rows: number, columns: number): Tensor {
    const tensor = new TensorContext(1).tensor(type, columns, rows);
    this.regionOf(address).buffer.place(tensor, address);
    return tensor;
  }

  /** Bytes before an address of the checkpoint, in the order of its regions. */
  offset(address: Pointer): number {
    const region = this.regionOf(address);
    return region.before + Number(address - region.address);
  }

  private regionOf(address: Pointer): Region {
    return this.regions.find((r) => address >= r.address && address < r.end)!;
  }
}
