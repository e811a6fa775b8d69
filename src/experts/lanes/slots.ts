import type { Device } from '../../devices/device.js';
import type { Event } from '../../ggml/backend.js';
import { rowBytes, TensorContext, type Type } from '../../ggml/tensor.js';
import { MATRICES, type MatrixName, type PlacedExpert, type RowRange } from '../expert.js';
import { inSlab, type Slab, SLAB_TENSORS, slab } from '../resident-experts.js';
import type { ExpertsSpec } from '../spec.js';

/** While one slot is computed with, the next is filled. */
export const STREAM_SLOTS = 2;

/** Room on the accelerator for experts, or parts of them, that are copied when they are needed. */
export class StreamSlots {
  private readonly context: TensorContext;
  private readonly slab: Slab;
  private readonly filled: (Event | undefined)[];
  private readonly emptied: (Event | undefined)[];
  private next = 0;

  constructor(
    private readonly accelerator: Device,
    private readonly spec: ExpertsSpec,
    type: Type,
  ) {
    this.context = new TensorContext(SLAB_TENSORS);
    this.slab = slab(this.context, spec, type, STREAM_SLOTS);
    accelerator.allocate(this.context, 'streaming slots');
    this.filled = Array.from({ length: STREAM_SLOTS }, () => accelerator.event());
    this.emptied = Array.from({ length: STREAM_SLOTS }, () => accelerator.event());
    for (const event of this.emptied) event?.record(accelerator.compute);
  }

  /**
   * Queues the copy of an expert into the next slot, and `compute` behind it; the copy waits until the slot's last
   * expert was computed, and computing waits for the copy.
   */
  run(source: PlacedExpert, range: RowRange | undefined, compute: (expert: PlacedExpert, slot: number) => void): void {
    const slot = this.next;
    this.next = (this.next + 1) % STREAM_SLOTS;
    const { copies, compute: stream } = this.accelerator;
    this.emptied[slot]?.wait(copies);
    const copied = range ? this.copyPart(source, slot, range) : this.copyWhole(source, slot);
    this.order(this.filled[slot], copies, stream);
    compute(copied, slot);
    this.order(this.emptied[slot], stream, undefined);
  }

  /** Lets `after` wait for what is queued on `before`; without events, waits here. */
  private order(event: Event | undefined, before: Device['compute'], after: Device['compute'] | undefined): void {
    if (event) {
      event.record(before);
      if (after) event.wait(after);
    } else if (this.accelerator.copies !== this.accelerator.compute) {
      before.synchronize();
    }
  }

  private copyWhole(source: PlacedExpert, slot: number): PlacedExpert {
    for (const name of MATRICES) {
      const target = this.slab[name];
      const from = source[name].tensor;
      this.accelerator.copies.write(target, from.address, slot * target.strides[2], from.bytes);
    }
    this.copyBiases(source, slot);
    return inSlab(this.slab, slot);
  }

  private copyBiases({ biases }: PlacedExpert, slot: number): void {
    const target = this.slab.biases;
    if (!biases || !target) return;
    this.accelerator.copies.write(target, biases.tensor.address, slot * target.strides[1], biases.tensor.bytes);
  }

  /** Rows of gate and up lie together; the columns of down are gathered, so that what arrives is packed. */
  private copyPart(source: PlacedExpert, slot: number, { from, to }: RowRange): PlacedExpert {
    const { copies } = this.accelerator;
    const { hidden } = this.spec;
    const rows = to - from;
    const part = (name: MatrixName) => {
      const target = this.slab[name];
      const { address, strides, type } = source[name].tensor;
      const offset = slot * target.strides[2];
      if (name === 'down') {
        const start = address + BigInt(rowBytes(type, from));
        copies.writeRows(target, start, offset, rowBytes(type, rows), hidden, strides[1]);
        return { tensor: target, index: slot, packed: [rows, hidden] as const };
      }
      copies.write(target, address + BigInt(from * strides[1]), offset, rows * strides[1]);
      return { tensor: target, index: slot, packed: [hidden, rows] as const };
    };
    this.copyBiases(source, slot);
    const { biases } = inSlab(this.slab, slot);
    return { gate: part('gate'), up: part('up'), down: part('down'), biases, part: { from, to } };
  }

  free(): void {
    for (const event of [...this.filled, ...this.emptied]) event?.free();
    this.context.free();
  }
}
