import type { Pointer } from '../native/ggml/api.js';
import { Buffer } from '../native/ggml/backend.js';
import { type Tensor, TensorContext, Type } from '../native/ggml/tensor.js';
import type { Device } from './device.js';

/** Bytes a second that plain copies from the host's memory to a device reach. */
export interface CopyRates {
  /** Missing where the device has no memory to pin. */
  pinned?: number;
  pageable: number;
}

const BYTES = 256 * 2 ** 20;
const REPEATS = 5;

/**
 * Measures one large copy at a time, the best of a few.
 * @param hostType buffers that the device copies from fastest
 * @param pageableType ordinary memory of the host
 * @throws FiddlerError `memory` where there is no room for it
 */
export function copyRates(device: Device, hostType: Pointer, pageableType: Pointer, bytes = BYTES): CopyRates {
  const target = new Region(device.bufferType, bytes, device.name);
  try {
    const rateFrom = (type: Pointer) => {
      const source = new Region(type, bytes, 'the host');
      try {
        return bestRate(device, source, target, bytes);
      } finally {
        source.free();
      }
    };
    const pageable = rateFrom(pageableType);
    return hostType === pageableType ? { pageable } : { pageable, pinned: rateFrom(hostType) };
  } finally {
    target.free();
  }
}

function bestRate({ copies }: Device, source: Region, target: Region, bytes: number): number {
  let shortest = Number.POSITIVE_INFINITY;
  for (let i = 0; i <= REPEATS; i++) {
    copies.synchronize();
    const begin = performance.now();
    copies.write(target.tensor, source.tensor.address, 0, bytes);
    copies.synchronize();
    // The first touches memory for the first time.
    if (i > 0) shortest = Math.min(shortest, performance.now() - begin);
  }
  return bytes / (shortest / 1000);
}

/** Memory of one kind, all zeros. */
class Region {
  private readonly context = new TensorContext(1);
  private readonly buffer: Buffer;
  readonly tensor: Tensor;

  constructor(type: Pointer, bytes: number, where: string) {
    this.tensor = this.context.tensor(Type.F32, bytes / 4);
    try {
      this.buffer = Buffer.allocate(this.context, type, `memory to measure copies on ${where}`).clear();
    } catch (error) {
      this.context.free();
      throw error;
    }
  }

  free(): void {
    this.buffer.free();
    this.context.free();
  }
}
