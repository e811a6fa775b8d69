import type { Device } from '../devices/device.js';
import { type MappedTensors, STORED_TYPE } from '../devices/mapped.js';
import { Uploader } from '../devices/upload.js';
import { checkShape } from '../experts/stored.js';
import { rowBytes, TensorContext, Type } from '../ggml/tensor.js';
import type { CacheRows, Parameter } from '../models/parameters.js';
import type { Checkpoint, StoredTensor } from '../weights/checkpoint.js';

/** Where one parameter comes from and in which type it is held. */
export interface FoundParameter {
  parameter: Parameter;
  stored: StoredTensor;
  type: Type;
  bytes: number;
}

/**
 * Finds every parameter in the checkpoint.
 * @param type the computed type of matrices; undefined is the stored one
 * @throws FiddlerError `file`: missing, or of another shape than config.json implies
 */
export function findParameters(checkpoint: Checkpoint, parameters: readonly Parameter[], type?: Type): FoundParameter[] {
  return parameters.map((parameter) => {
    const stored = checkpoint.get(parameter.name);
    checkShape(stored, parameter.shape);
    const held = parameter.precision === 'exact' ? Type.F32 : (type ?? STORED_TYPE[stored.dtype]);
    const columns = parameter.shape.at(-1)!;
    const rows = parameter.shape.slice(0, -1).reduce((a, b) => a * b, 1);
    return { parameter, stored, type: held, bytes: rowBytes(held, columns) * rows };
  });
}

/** Places parameters on a device: in the mapped file where the device computes in RAM and the type is the stored one. */
export class Parameters {
  private readonly context: TensorContext;
  private readonly copied: FoundParameter[] = [];

  constructor(
    device: Device,
    mapped: MappedTensors,
    private readonly found: readonly FoundParameter[],
  ) {
    this.context = new TensorContext(found.length);
    for (const each of found) {
      const { parameter, stored, type } = each;
      const [columns, rows = 1] = [...parameter.shape].reverse() as [number, number?];
      if (device.unified && type === STORED_TYPE[stored.dtype]) {
        parameter.tensor = mapped.matrix(stored, stored.address, rows, columns);
      } else {
        parameter.tensor = this.context.tensor(type, columns, rows);
        this.copied.push(each);
      }
    }
    if (this.copied.length > 0) device.allocate(this.context, 'weights').markWeights();
  }

  /** Copies the weights over and lets their pages in RAM go, but for the tensor `keep`, which the CPU reads too. */
  fill(checkpoint: Checkpoint, cpu: Device, keep: string, onBytes: (bytes: number) => void): void {
    const uploader = new Uploader(cpu);
    for (const { parameter, stored } of this.copied) {
      const elements = parameter.shape.reduce((a, b) => a * b, 1);
      uploader.upload(parameter.tensor, { address: stored.address, type: STORED_TYPE[stored.dtype], elements });
      if (stored.name !== keep) checkpoint.release(stored.address, stored.bytes);
      onBytes(stored.bytes);
    }
  }

  /** Bytes in the type in which they are held. */
  get bytes(): number {
    return this.found.reduce((sum, f) => sum + f.bytes, 0);
  }

  /** Bytes that `fill` reads. */
  get storedBytes(): number {
    return this.copied.reduce((sum, f) => sum + f.stored.bytes, 0);
  }

  free(): void {
    this.context.free();
  }
}

/** The KV cache: rows of every declared cache, on the device that computes attention. */
export class KvCache {
  private readonly context: TensorContext;

  constructor(device: Device, caches: readonly CacheRows[], rows: number, type: Type) {
    this.context = new TensorContext(caches.length);
    for (const cache of caches) cache.tensor = this.context.tensor(type, cache.width, rows);
    // Rows beyond the filled ones are masked, but a value that is not a number would survive a weight of zero.
    if (caches.length > 0) device.allocate(this.context, 'the KV cache').clear();
  }

  static bytes(caches: readonly CacheRows[], rows: number, type: Type): number {
    return caches.reduce((sum, cache) => sum + rowBytes(type, cache.width) * rows, 0);
  }

  free(): void {
    this.context.free();
  }
}
