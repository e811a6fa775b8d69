import { type Device, floats, type HostMemory, HostTensors, halves, integers } from '../devices/device.js';
import type { Graph } from '../ggml/graph.js';
import { contiguousStrides, type Tensor, TensorContext, Type } from '../ggml/tensor.js';
import type { RelativeBias } from '../models/parameters.js';
import { BiasLines, fillMask, fillSourceMask } from './masks.js';

/** Rows of the KV cache come in steps of this many, of which every device's own are a part. */
export const CACHE_STEP = 256;

/** Rows of the KV cache for a context. */
export function cacheRows(tokens: number): number {
  return Math.ceil(tokens / CACHE_STEP) * CACHE_STEP;
}

/**
 * Rows that attention reads of so many tokens: few shapes of graphs, and at most an eighth in vain.
 * @param least step of the device, a power of two up to {@link CACHE_STEP}
 */
export function attendedRows(tokens: number, least: number): number {
  const step = Math.min(CACHE_STEP, Math.max(least, 2 ** Math.floor(Math.log2(tokens / 8))));
  return Math.ceil(tokens / step) * step;
}

/** Bytes on the device for each token of a call: masks with relative biases, and the scores to which those are added. */
export function biasBytes(biases: readonly RelativeBias[], context: number): number {
  const heads = biases.map((bias) => bias.heads);
  const masks = heads.reduce((a, b) => a + b, 0);
  return (masks + 2 * Math.max(0, ...heads)) * cacheRows(context) * 4;
}

/** What attention is told of a call, and for how large ones. */
export interface InputSizes {
  /** Most tokens of a call, and of the context. */
  chunk: number;
  context: number;
  /** Sliding windows in use; 0 stands for none. */
  windows: readonly number[];
  relativeBiases?: readonly RelativeBias[];
  /** Cross-attention reads an encoder's output. */
  source?: boolean;
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

interface BiasedMask extends Mirrored {
  values: Float32Array;
  lines: BiasLines;
}

/** Positions and attention masks of a call: written by JavaScript, read by the device's graphs. */
export class StepInputs {
  private readonly memory: HostTensors;
  private readonly context?: TensorContext;
  private readonly positions: Mirrored;
  private readonly masks = new Map<number, Mask>();
  private readonly biased = new Map<RelativeBias, BiasedMask>();
  private readonly source?: Mask;
  private readonly numbers: Int32Array;

  constructor(
    private readonly device: Device,
    { chunk, context, windows, relativeBiases = [], source }: InputSizes,
    hostMemory: HostMemory,
  ) {
    const tensors = 2 + windows.length + relativeBiases.length;
    this.memory = new HostTensors(tensors);
    if (!device.unified) this.context = new TensorContext(tensors);
    const mirrored = (type: Type, n: number): Mirrored => {
      const host = this.memory.tensor(type, n);
      return { host, device: this.context?.tensor(type, n) ?? host };
    };
    const size = cacheRows(context) * chunk;
    this.positions = mirrored(Type.I32, chunk);
    const masks = windows.map((window) => [window, mirrored(Type.F16, size)] as const);
    const biased = relativeBiases.map((bias) => [bias, mirrored(Type.F32, size * bias.heads)] as const);
    const ofSource = source ? mirrored(Type.F16, size) : undefined;
    this.memory.allocate(hostMemory);
    const withBits = (mask: Mirrored) => ({ ...mask, bits: halves(mask.host) });
    for (const [window, mask] of masks) this.masks.set(window, withBits(mask));
    for (const [bias, mask] of biased) {
      this.biased.set(bias, { ...mask, values: floats(mask.host), lines: new BiasLines(bias, context) });
    }
    this.source = ofSource && withBits(ofSource);
    if (this.context) device.allocate(this.context, 'positions and masks');
    this.numbers = integers(this.positions.host);
  }

  /**
   * Describes `count` tokens that follow the `past` ones.
   * @param rows that attention reads of them all
   * @param source tokens of the encoder's output
   */
  send(past: number, count: number, rows: number, source = 0): void {
    for (let i = 0; i < count; i++) this.numbers[i] = past + i;
    this.write(this.positions, count * 4);
    for (const [window, mask] of this.masks) {
      fillMask(mask.bits, past, count, rows, window);
      this.write(mask, rows * count * 2);
    }
    for (const [{ heads }, mask] of this.biased) {
      mask.lines.fill(mask.values, past, count, rows);
      this.write(mask, rows * count * heads * 4);
    }
    if (!this.source) return;
    fillSourceMask(this.source.bits, count, cacheRows(source), source);
    this.write(this.source, cacheRows(source) * count * 2);
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
    return matrices(g, this.masks.get(window)!.device, rows, count);
  }

  /** F32 [heads, count, rows]. */
  biasedMaskOf(g: Graph, rows: number, count: number, bias: RelativeBias): Tensor {
    return matrices(g, this.biased.get(bias)!.device, rows, count, bias.heads);
  }

  /** F16 [count, rows], where cross-attention reads a source. */
  sourceMaskOf(g: Graph, rows: number, count: number): Tensor | undefined {
    return this.source && matrices(g, this.source.device, rows, count);
  }

  free(): void {
    this.memory.free();
    this.context?.free();
  }
}

/** The beginning of a vector as [number, count, rows]. */
function matrices(g: Graph, vector: Tensor, rows: number, count: number, number = 1): Tensor {
  const ne = [rows, count, number, 1] as const;
  return g.view(vector, ne, 0, contiguousStrides(vector.type, ne));
}
