import { type Device, HostTensors, halves, integers } from '../devices/device.js';
import type { Pointer } from '../ggml/api.js';
import type { Graph } from '../ggml/graph.js';
import { type Tensor, TensorContext, Type } from '../ggml/tensor.js';

/** Attention reads the KV cache in steps of this many rows, so that few shapes of graphs occur. */
export const CACHE_STEP = 256;
const MINUS_INFINITY_F16 = 0xfc00;

/** Rows of the KV cache for a context, or the part of it that attention reads. */
export function cacheRows(tokens: number): number {
  return Math.ceil(tokens / CACHE_STEP) * CACHE_STEP;
}

/** A tensor on the device with a copy of it in the host's memory; one and the same where the device is unified. */
interface Mirrored {
  host: Tensor;
  device: Tensor;
}

interface Mask extends Mirrored {
  /** The host's tensor. Made once: views are external memory, of which a few large ones set off the garbage collector. */
  bits: Uint16Array;
}

/** Positions and attention masks of a call: written by JavaScript, read by the device's graphs. */
export class StepInputs {
  private readonly memory: HostTensors;
  private readonly context?: TensorContext;
  private readonly positions: Mirrored;
  private readonly masks = new Map<number, Mask>();
  private readonly numbers: Int32Array;

  /** @param windows sliding windows in use; 0 stands for none */
  constructor(
    private readonly device: Device,
    chunk: number,
    context: number,
    windows: readonly number[],
    hostType: Pointer,
  ) {
    this.memory = new HostTensors(1 + windows.length);
    if (!device.unified) this.context = new TensorContext(1 + windows.length);
    const mirrored = (type: Type, n: number): Mirrored => {
      const host = this.memory.tensor(type, n);
      return { host, device: this.context?.tensor(type, n) ?? host };
    };
    this.positions = mirrored(Type.I32, chunk);
    const masks = windows.map((window) => [window, mirrored(Type.F16, cacheRows(context) * chunk)] as const);
    this.memory.allocate(hostType);
    for (const [window, mask] of masks) this.masks.set(window, { ...mask, bits: halves(mask.host) });
    if (this.context) device.allocate(this.context, 'positions and masks');
    this.numbers = integers(this.positions.host);
  }

  /** Describes `count` tokens that follow the `past` ones in the KV cache. */
  send(past: number, count: number): void {
    const rows = cacheRows(past + count);
    for (let i = 0; i < count; i++) this.numbers[i] = past + i;
    this.write(this.positions, count * 4);
    for (const [window, mask] of this.masks) {
      fillMask(mask.bits, past, count, rows, window);
      this.write(mask, rows * count * 2);
    }
  }

  private write({ host, device }: Mirrored, bytes: number): void {
    if (device !== host) this.device.compute.write(device, host.address, 0, bytes);
  }

  /** I32 [count]. */
  positionsOf(g: Graph, count: number): Tensor {
    return g.slice(this.positions.device, 0, count);
  }

  /** F16 [count, rows] in PyTorch's order. */
  maskOf(g: Graph, rows: number, count: number, window = 0): Tensor {
    return g.view(this.masks.get(window)!.device, [rows, count, 1, 1], 0, [2, rows * 2, rows * count * 2, 0]);
  }

  free(): void {
    this.memory.free();
    this.context?.free();
  }
}

/** Row i of the mask: 0 for the positions that token past + i may look at, −∞ for all others. */
export function fillMask(mask: Uint16Array, past: number, count: number, rows: number, window: number): void {
  for (let i = 0; i < count; i++) {
    const row = mask.subarray(i * rows, (i + 1) * rows);
    const position = past + i;
    const first = window > 0 ? Math.max(0, position - window + 1) : 0;
    row.fill(MINUS_INFINITY_F16);
    row.fill(0, first, position + 1);
  }
}
