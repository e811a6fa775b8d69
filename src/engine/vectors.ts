import { type Device, floats, HostMemory, HostTensors } from '../devices/device.js';
import { Uploader } from '../devices/upload.js';
import { api } from '../ggml/api.js';
import { TensorContext, Type } from '../ggml/tensor.js';
import type { Constant, HostVector } from '../models/parameters.js';
import type { Checkpoint } from '../weights/checkpoint.js';
import { findSource, type Source } from '../weights/source.js';

/** A vector for the host and where it comes from. */
export interface FoundVector {
  vector: HostVector;
  source: Source;
}

/** Finds every vector in the checkpoint. @throws FiddlerError `file`: missing, or of another shape than implied */
export function findVectors(checkpoint: Checkpoint, vectors: readonly HostVector[]): FoundVector[] {
  return vectors.map((vector) => ({ vector, source: findSource(checkpoint, vector.name, vector.shape) }));
}

/** Reads vectors into JavaScript's memory as float32. */
export function readVectors(found: readonly FoundVector[], cpu: Device): void {
  const uploader = new Uploader(cpu);
  for (const { vector, source } of found) {
    const memory = new HostTensors(1);
    const tensor = memory.tensor(Type.F32, source.elements);
    memory.allocate(new HostMemory(cpu.bufferType));
    uploader.upload(tensor, source);
    vector.values = floats(tensor).slice();
    memory.free();
  }
}

/** Places the constants of a model on a device. */
export class Constants {
  private readonly context: TensorContext;

  constructor(device: Device, constants: readonly Constant[]) {
    this.context = new TensorContext(constants.length);
    for (const constant of constants) constant.tensor = this.context.tensor(Type.F32, constant.values.length);
    if (constants.length === 0) return;
    device.allocate(this.context, 'constants');
    for (const { tensor, values } of constants) api().tensorSet(tensor.pointer, values, 0, values.byteLength);
  }

  free(): void {
    this.context.free();
  }
}
