import { floats, integers } from '../devices/device.js';
import type { StepBlocks } from '../models/model.js';
import type { Graph } from '../native/ggml/graph.js';
import { type Extents, type Tensor, Type } from '../native/ggml/tensor.js';
import type { Batch, Group } from './batch.js';

/** A tensor on the device with a copy of it in the host's memory; one and the same where the device is unified. */
export interface Mirrored {
  host: Tensor;
  device: Tensor;
}

export interface BlockSizes {
  /** Positions of a block. */
  every: number;
  /** Rows of the ring in which what blocks are made of lies, a multiple of these. */
  kept: number;
  /** Positions that the KV cache has room for, and most tokens of a call. */
  positions: number;
  calls: number;
  /** Most groups of a call. */
  groups: number;
}

/** Lost in any score but 0: of blocks that no head of an indexer sees anything in, every device chooses the last, as references do. */
const LATER = 1e-30;

/**
 * Where the blocks of a group begin, in elements: Vulkan's rotation reads positions from multiples of the device's alignment
 * only, of which 256 bytes are the largest.
 */
const ALIGNED = 64;

/** Tensors of {@link BlockInputs}. */
export const BLOCK_TENSORS = 9;

/** Blocks that so many tokens of a sequence touch at most, wherever they begin. */
export function touchedBlocks(tokens: number, every: number): number {
  return Math.floor((tokens + every - 2) / every) + 1;
}

function aligned(element: number): number {
  return Math.ceil(element / ALIGNED) * ALIGNED;
}

/** What a call is told of blocks of positions: which of them it touches, and which its tokens may look at. */
export class BlockInputs {
  private readonly numbers: Mirrored;
  private readonly lying: Mirrored;
  private readonly lyingBefore: Mirrored;
  private readonly followed: Mirrored;
  private readonly starts: Mirrored;
  private readonly tails: Mirrored;
  private readonly tailRows: Mirrored;
  private readonly visible: Mirrored;
  private readonly tailMask: Mirrored;
  private readonly ramp: Float32Array;
  /** Views of the host's memory are made once (see StepInputs). */
  private views?: Record<'numbers' | 'lying' | 'lyingBefore' | 'starts' | 'tails' | 'tailRows', Int32Array> &
    Record<'followed' | 'visible' | 'tailMask', Float32Array>;

  constructor(
    private readonly sizes: BlockSizes,
    mirrored: (type: Type, elements: number) => Mirrored,
  ) {
    const { every, positions, calls, groups } = sizes;
    this.ramp = Float32Array.from({ length: Math.ceil(positions / every) }, (_, block) => block * LATER);
    const touched = calls + ALIGNED * groups;
    this.numbers = mirrored(Type.I32, touched);
    this.lying = mirrored(Type.I32, touched);
    this.starts = mirrored(Type.I32, touched);
    this.tails = mirrored(Type.I32, calls);
    this.tailRows = mirrored(Type.I32, calls);
    this.visible = mirrored(Type.F32, Math.ceil(positions / every) * calls);
    this.tailMask = mirrored(Type.F32, every * calls);
    this.lyingBefore = mirrored(Type.I32, touched);
    this.followed = mirrored(Type.F32, touched);
  }

  /** Describes a call. @param write copies so many bytes of the host's tensor to the device's */
  send(batch: Batch, groups: readonly Group[], write: (mirrored: Mirrored, bytes: number) => void): void {
    const { every, kept, positions } = this.sizes;
    const rows = Math.ceil(positions / every);
    const views = this.viewed();
    let [part, touched, row, seen] = [0, 0, 0, 0];
    for (const group of groups) {
      touched = aligned(touched);
      const read = this.blocksRead(group);
      const most = touchedBlocks(group.tokens, every);
      for (let i = 0; i < group.sequences; i++) {
        const { past } = batch[part++]!;
        const last = Math.floor((past + group.tokens - 1) / every);
        for (let j = 0; j < most; j++) {
          const block = Math.min(Math.floor(past / every) + j, last);
          views.numbers[touched] = block;
          views.lying[touched] = block % (kept / every);
          views.lyingBefore[touched] = Math.max(0, block - 1) % (kept / every);
          views.followed[touched] = block > 0 ? 0 : -Infinity;
          views.starts[touched++] = block * every;
        }
        for (let t = 0; t < group.tokens; t++) {
          const position = past + t;
          const complete = Math.floor((position + 1) / every);
          views.tails[row] = complete;
          views.tailRows[row] = Math.min(complete, rows - 1);
          const own = position + 1 - complete * every;
          views.tailMask.fill(0, row * every, row * every + own);
          views.tailMask.fill(-Infinity, row * every + own, ++row * every);
          views.visible.set(this.ramp.subarray(0, complete), seen);
          views.visible.fill(-Infinity, seen + complete, seen + read);
          seen += read;
        }
      }
    }
    for (const each of [this.numbers, this.lying, this.lyingBefore, this.followed, this.starts])
      write(each, touched * 4);
    for (const each of [this.tails, this.tailRows]) write(each, row * 4);
    write(this.visible, seen * 4);
    write(this.tailMask, row * every * 4);
  }

  private viewed() {
    const whole = (of: Mirrored) => integers(of.host);
    this.views ??= {
      numbers: whole(this.numbers),
      lying: whole(this.lying),
      lyingBefore: whole(this.lyingBefore),
      followed: floats(this.followed.host),
      starts: whole(this.starts),
      tails: whole(this.tails),
      tailRows: whole(this.tailRows),
      visible: floats(this.visible.host),
      tailMask: floats(this.tailMask.host),
    };
    return this.views;
  }

  private blocksRead({ reads }: Group): number {
    return Math.ceil(reads.get(0)!.count / this.sizes.every);
  }

  /** What each group of a call is told. */
  of(groups: readonly Group[]): ((g: Graph) => StepBlocks)[] {
    const { every } = this.sizes;
    let [touched, row, seen] = [0, 0, 0];
    return groups.map((group) => {
      const { tokens, sequences } = group;
      const read = this.blocksRead(group);
      const most = touchedBlocks(tokens, every);
      const at = { touched: aligned(touched), row, seen };
      touched = at.touched + most * sequences;
      row += tokens * sequences;
      seen += read * tokens * sequences;
      return (g) => {
        const part = (of: Mirrored, from: number, ne: Extents) => {
          const [a, b, c] = ne;
          return g.view(of.device, ne, from * 4, [4, a * 4, a * b * 4, a * b * c * 4]);
        };
        return {
          read,
          numbers: part(this.numbers, at.touched, [most, sequences, 1, 1]),
          lying: part(this.lying, at.touched, [most, sequences, 1, 1]),
          lyingBefore: part(this.lyingBefore, at.touched, [most, sequences, 1, 1]),
          followed: part(this.followed, at.touched, [1, most, sequences, 1]),
          starts: part(this.starts, at.touched, [most * sequences, 1, 1, 1]),
          visible: part(this.visible, at.seen, [read, tokens, sequences, 1]),
          tails: part(this.tails, at.row, [1, tokens, sequences, 1]),
          tailRows: part(this.tailRows, at.row, [1, tokens * sequences, 1, 1]),
          tailMask: part(this.tailMask, at.row * every, [every, tokens, sequences, 1]),
        };
      };
    });
  }
}
