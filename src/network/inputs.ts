import { type Device, floats, type HostMemory, HostTensors, halves, integers } from '../devices/device.js';
import type { RelativeBias } from '../models/parameters.js';
import type { Graph } from '../native/ggml/graph.js';
import { contiguousStrides, type Extents, rowBytes, type Tensor, TensorContext, Type } from '../native/ggml/tensor.js';
import type { Batch, Group } from './batch.js';
import { BLOCK_TENSORS, BlockInputs, type Mirrored } from './blocks.js';
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
  const step = attendedStep(tokens, least);
  return Math.ceil(tokens / step) * step;
}

/** In steps of which rows so many tokens are read. */
export function attendedStep(tokens: number, least: number): number {
  return Math.min(CACHE_STEP, Math.max(least, 2 ** Math.floor(Math.log2(tokens / 8))));
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
  calls: number;
  context: number;
  /** Most sequences of a call. */
  sequences: number;
  /** Sliding windows of caches, 0 for none, and the rows of the KV cache that are kept for each; and those that attention masks. */
  windows: ReadonlyMap<number, number>;
  masked: ReadonlySet<number>;
  /** Sizes of blocks of positions that share a row, and the windows of the rings with what they are made of. */
  blocks?: ReadonlyMap<number, number>;
  relativeBiases?: readonly RelativeBias[];
  /** Cross-attention reads an encoder's output. */
  source?: boolean;
}

interface Mask extends Mirrored {
  /** The host's tensor. Made once: views are external memory, of which a few large ones set off the garbage collector. */
  bits: Uint16Array;
}

/** What layers of one window are told. */
interface Windowed {
  /** Undefined where attention does not read by it. */
  mask?: Mask;
  /** Rows of the KV cache that they keep of a sequence. */
  kept: number;
  /** In which of them the call's keys and values lie, where that is not by their positions. */
  rows?: Mirrored & { numbers: Int32Array };
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
  private readonly windows = new Map<number, Windowed>();
  private readonly biased = new Map<RelativeBias, BiasedMask>();
  private readonly source?: Mask;
  private readonly blocks: ReadonlyMap<number, BlockInputs>;
  private readonly numbers: Int32Array;

  constructor(
    private readonly device: Device,
    { calls, context, sequences, windows, masked, blocks = new Map(), relativeBiases = [], source }: InputSizes,
    hostMemory: HostMemory,
  ) {
    const tensors = 2 + 2 * windows.size + relativeBiases.length + BLOCK_TENSORS * blocks.size;
    this.memory = new HostTensors(tensors);
    if (!device.unified) this.context = new TensorContext(tensors);
    const mirrored = (type: Type, n: number): Mirrored => {
      const host = this.memory.tensor(type, n);
      return { host, device: this.context?.tensor(type, n) ?? host };
    };
    const size = cacheRows(context) * calls;
    this.positions = mirrored(Type.I32, calls);
    const windowed = [...windows].map(([window, kept]) => {
      const rows = kept < cacheRows(context) ? mirrored(Type.I32, calls) : undefined;
      return { window, kept, mask: masked.has(window) ? mirrored(Type.F16, kept * calls) : undefined, rows };
    });
    const positions = cacheRows(context);
    this.blocks = new Map(
      [...blocks].map(([every, window]) => {
        const kept = windows.get(window)!;
        return [every, new BlockInputs({ every, kept, positions, calls, groups: sequences }, mirrored)];
      }),
    );
    const biased = relativeBiases.map((bias) => [bias, mirrored(Type.F32, size * bias.heads)] as const);
    const ofSource = source ? mirrored(Type.F16, size) : undefined;
    this.memory.allocate(hostMemory);
    const withBits = (mask: Mirrored) => ({ ...mask, bits: halves(mask.host) });
    for (const { window, kept, mask, rows } of windowed) {
      const numbered = rows && { ...rows, numbers: integers(rows.host) };
      this.windows.set(window, { mask: mask && withBits(mask), kept, rows: numbered });
    }
    for (const [bias, mask] of biased) {
      this.biased.set(bias, { ...mask, values: floats(mask.host), lines: new BiasLines(bias, context) });
    }
    this.source = ofSource && withBits(ofSource);
    if (this.context) device.allocate(this.context, 'positions and masks');
    this.numbers = integers(this.positions.host);
  }

  /** Describes a call. @param groups as attention takes its parts */
  send(batch: Batch, groups: readonly Group[]): void {
    let [row, part, elements, sourceElements] = [0, 0, 0, 0];
    for (const { tokens: count, sequences, reads, sourceRows } of groups) {
      const rows = reads.get(0)!.count;
      for (let i = 0; i < sequences; i++) {
        const { past, source } = batch[part++]!;
        for (let t = 0; t < count; t++) this.numbers[row++] = past + t;
        for (const [{ heads }, { lines, values }] of this.biased) {
          lines.fill(values, { past, count, rows, at: elements * heads });
        }
        if (this.source) fillSourceMask(this.source.bits, { count, rows: sourceRows, at: sourceElements }, source);
        elements += rows * count;
        sourceElements += sourceRows * count;
      }
    }
    this.write(this.positions, row * 4);
    for (const [window, each] of this.windows) this.sendWindow(window, each, batch, groups);
    for (const [{ heads }, mask] of this.biased) this.write(mask, elements * heads * 4);
    if (this.source) this.write(this.source, sourceElements * 2);
    for (const blocks of this.blocks.values()) blocks.send(batch, groups, (of, bytes) => this.write(of, bytes));
  }

  private sendWindow(window: number, windowed: Windowed, batch: Batch, groups: readonly Group[]): void {
    const { mask, kept, rows } = windowed;
    let [row, part, at] = [0, 0, 0];
    for (const { tokens: count, sequences, reads } of groups) {
      const { from, count: read } = reads.get(window)!;
      for (let i = 0; i < sequences; i++) {
        const { past } = batch[part++]!;
        if (rows) for (let t = 0; t < count; t++) rows.numbers[row++] = (past + t) % kept;
        if (mask) fillMask(mask.bits, { past, count, rows: read, at }, window, { kept, from });
        at += read * count;
      }
    }
    if (rows) this.write(rows, row * 4);
    if (mask) this.write(mask, at * 2);
  }

  private write({ host, device }: Mirrored, bytes: number): void {
    if (device !== host) this.device.compute.write(device, host.address, 0, bytes);
  }

  /** I32 [count]. */
  positionsOf(g: Graph, count: number): Tensor {
    return g.slice(this.positions.device, 0, count);
  }

  /** I32 [sequences, tokens] of a group: its tokens' rows in their sequences' parts of the KV cache, by the layer's window. */
  rowsOf(g: Graph, { first, tokens, sequences }: Group, window: number): Tensor {
    const { device } = this.windows.get(window)?.rows ?? this.positions;
    return part(g, device, first, [tokens, sequences, 1, 1]);
  }

  /** What each group of a call is told of blocks of so many positions. */
  blocksOf(groups: readonly Group[], every: number): ReturnType<BlockInputs['of']> {
    return this.blocks.get(every)!.of(groups);
  }

  /** The masks of each group of a call. */
  masksOf(groups: readonly Group[]): GroupMasks[] {
    const begins = new Map<number, number>();
    let sourceElements = 0;
    return groups.map(({ tokens, sequences, reads, sourceRows }) => {
      const own = new Map(begins);
      for (const [window, { count }] of reads) {
        begins.set(window, (own.get(window) ?? 0) + count * tokens * sequences);
      }
      const sourceAt = sourceElements;
      sourceElements += sourceRows * tokens * sequences;
      const [at, rows] = [own.get(0) ?? 0, reads.get(0)!.count];
      return {
        mask: (g, window = 0) => {
          const sizes: Extents = [reads.get(window)!.count, tokens, 1, sequences];
          return part(g, this.windows.get(window)!.mask!.device, own.get(window) ?? 0, sizes);
        },
        biasedMask: (g, bias) =>
          part(g, this.biased.get(bias)!.device, at * bias.heads, [rows, tokens, bias.heads, sequences]),
        sourceMask: (g) => this.source && part(g, this.source.device, sourceAt, [sourceRows, tokens, 1, sequences]),
      };
    });
  }
}

/** Masks of a group's sequences, in PyTorch's order. */
interface GroupMasks {
  /** F16 [sequences, 1, tokens, rows]. */
  mask(g: Graph, window?: number): Tensor;
  /** F32 [sequences, heads, tokens, rows]. */
  biasedMask(g: Graph, bias: RelativeBias): Tensor;
  /** F16 [sequences, 1, tokens, sourceRows], where cross-attention reads a source. */
  sourceMask(g: Graph): Tensor | undefined;
}

/** The elements of a vector from `at` on, as a tensor of these sizes. */
function part(g: Graph, vector: Tensor, at: number, ne: Extents): Tensor {
  return g.view(vector, ne, rowBytes(vector.type, at), contiguousStrides(vector.type, ne));
}
