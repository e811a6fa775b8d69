import type { Device } from '../../devices/device.js';
import type { Event } from '../../ggml/backend.js';
import { type Tensor, TensorContext, type Type } from '../../ggml/tensor.js';
import { MATRICES, type MatrixName, type PlacedExpert } from '../expert.js';
import { inSlab, slab } from '../resident-experts.js';
import type { ExpertsSpec } from '../spec.js';

/** While one slot is computed with, the next is filled. */
export const STREAM_SLOTS = 2;

/** Room on the accelerator for experts that are copied when they are needed. */
export class StreamSlots {
  private readonly context: TensorContext;
  private readonly slab: Record<MatrixName, Tensor>;
  private readonly filled: (Event | undefined)[];
  private readonly emptied: (Event | undefined)[];
  private next = 0;

  constructor(
    private readonly accelerator: Device,
    spec: ExpertsSpec,
    type: Type,
  ) {
    this.context = new TensorContext(MATRICES.length);
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
  run(source: PlacedExpert, compute: (expert: PlacedExpert, slot: number) => void): void {
    const slot = this.next;
    this.next = (this.next + 1) % STREAM_SLOTS;
    const { copies, compute: stream } = this.accelerator;
    this.emptied[slot]?.wait(copies);
    for (const name of MATRICES) {
      const target = this.slab[name];
      const from = source[name].tensor;
      copies.write(target, from.address, slot * target.strides[2], from.bytes);
    }
    if (this.filled[slot]) {
      this.filled[slot].record(copies);
      this.filled[slot].wait(stream);
    } else if (copies !== stream) {
      copies.synchronize();
    }
    compute(inSlab(this.slab, slot), slot);
    if (this.emptied[slot]) this.emptied[slot].record(stream);
    else if (copies !== stream) stream.synchronize();
  }

  free(): void {
    for (const event of [...this.filled, ...this.emptied]) event?.free();
    this.context.free();
  }
}
