import type { Backend } from '../../native/ggml/backend.js';
import { rowBytes } from '../../native/ggml/tensor.js';
import { mapMatrices } from '../activations.js';
import type { PlacedExpert, RowRange } from '../expert.js';
import { sendBiases } from '../resident-experts.js';
import type { ExpertsSpec } from '../spec.js';
import type { Run } from './runs.js';
import type { SlotMemory } from './slot-memory.js';

/** Queues copies of experts, or parts of them, from the host's memory to slots. */
export class SlotCopies {
  constructor(
    private readonly on: Backend,
    private readonly memory: SlotMemory,
    private readonly layers: readonly ExpertsSpec[],
  ) {}

  /** Experts of a layer, one copy a part. */
  run(layer: number, { slot, count, parts, distances }: Run): void {
    for (const [i, { name, address, bytes }] of parts.entries()) {
      const { tensor, offset, stride } = this.memory.spanOf(layer, name);
      const rows = { bytes, count, sourceStride: distances[i]!, targetStride: stride };
      this.on.writeRows(tensor, BigInt(address), slot * stride + offset, rows);
      if (name === 'biases') continue;
      for (let s = slot; s < slot + count; s++) this.memory.clearBehind(this.on, layer, name, s, bytes);
    }
  }

  /** Rows of the inner matrices lie together; the columns of down are gathered, so that what arrives is packed. */
  part(layer: number, slot: number, source: PlacedExpert, { from, to }: RowRange): PlacedExpert {
    const { hidden } = this.layers[layer]!;
    const rows = to - from;
    const target = this.memory.at(layer, slot);
    const parts = mapMatrices(target, (place, name) => {
      const { tensor, index = 0 } = place;
      const { address, strides, type } = source[name]!.tensor;
      const offset = index * tensor.strides[2];
      if (name === 'down') {
        const bytes = rowBytes(type, rows);
        const start = address + BigInt(rowBytes(type, from));
        const columns = { bytes, count: hidden, sourceStride: strides[1], targetStride: bytes };
        this.on.writeRows(tensor, start, offset, columns);
        this.memory.clearBehind(this.on, layer, name, slot, hidden * bytes);
        return { ...place, packed: [rows, hidden] as const };
      }
      this.on.write(tensor, address + BigInt(from * strides[1]), offset, rows * strides[1]);
      this.memory.clearBehind(this.on, layer, name, slot, rows * strides[1]);
      return { ...place, packed: [hidden, rows] as const };
    });
    sendBiases(this.on, source, target);
    return { ...parts, biases: target.biases, part: { from, to } };
  }
}
