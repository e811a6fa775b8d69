import { type Device, floats, HostMemory, HostTensors } from '../devices/device.js';
import { Uploader } from '../devices/upload.js';
import type { Constant, HostVector } from '../models/parameters.js';
import { api } from '../native/ggml/api.js';
import { TensorContext, Type } from '../native/ggml/tensor.js';
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
export function placeConstants(device: Device, constants: readonly Constant[]): void {
  if (constants.length === 0) return;
  const context = new TensorContext(constants.length);
  for (const constant of constants) {
    const type = constant.values instanceof Int32Array ? Type.I32 : Type.F32;
    constant.tensor = context.tensor(type, constant.values.length);
  }
  device.allocate(context, 'constants');
  for (const { tensor, values } of constants) api().tensorSet(tensor.pointer, values, 0, values.byteLength);
}
