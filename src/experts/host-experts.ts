import type { Device } from '../devices/device.js';
import { MappedTensors } from '../devices/mapped.js';
import { Uploader } from '../devices/upload.js';
import { TensorContext, type Type } from '../ggml/tensor.js';
import type { Checkpoint } from '../weights/checkpoint.js';
import { MATRICES, type MatrixName, type PlacedExpert } from './expert.js';
import { expertBytes as bytesOf, type ExpertsSpec } from './spec.js';
import { findExpert, findMatrix, type StoredMatrix } from './stored.js';

/** Experts in the host's memory: in place in the mapped files, or upcast copies where another type is computed. */
export class HostExperts {
  private readonly mapped: MappedTensors;
  private readonly experts: (PlacedExpert | undefined)[][];
  private readonly contexts: TensorContext[] = [];

  /** @param type computed type; undefined computes in the stored one */
  constructor(
    private readonly checkpoint: Checkpoint,
    private readonly cpu: Device,
    private readonly layers: readonly ExpertsSpec[],
    private readonly type: Type | undefined,
  ) {
    this.mapped = new MappedTensors(checkpoint);
    this.experts = layers.map(() => []);
  }

  /** The type in which a layer's experts are computed; all of a layer are stored alike. */
  typeOf(layer: number): Type {
    return this.type ?? findMatrix(this.checkpoint, this.layers[layer]!, 0, 'up').type;
  }

  /** Bytes of one expert of a layer in the computed type. */
  expertBytes(layer: number): number {
    return bytesOf(this.layers[layer]!, this.typeOf(layer));
  }

  /** The expert's matrices, placed at first use. */
  expert(layer: number, expert: number): PlacedExpert {
    return (this.experts[layer]![expert] ??= this.place(layer, expert));
  }

  private place(layer: number, expert: number): PlacedExpert {
    const found = findExpert(this.checkpoint, this.layers[layer]!, expert);
    const inPlace = (m: StoredMatrix) => ({ tensor: this.mapped.matrix(m.stored, m.address, m.rows, m.columns) });
    return { gate: inPlace(found.gate), up: inPlace(found.up), down: inPlace(found.down) };
  }

  /** Copies the expert into memory where its computed type is not the stored one, and lets its pages go. */
  upcast(layer: number, expert: number): void {
    const found = findExpert(this.checkpoint, this.layers[layer]!, expert);
    if (this.type === undefined || MATRICES.every((name) => found[name].type === this.type)) return;
    const context = new TensorContext(MATRICES.length);
    this.contexts.push(context);
    const target = (name: MatrixName) => ({
      tensor: context.tensor(this.type!, found[name].columns, found[name].rows),
    });
    const placed = { gate: target('gate'), up: target('up'), down: target('down') };
    this.cpu.allocate(context, 'memory for experts').markWeights();
    const uploader = new Uploader(this.cpu);
    for (const name of MATRICES) {
      uploader.upload(placed[name].tensor, found[name]);
      this.checkpoint.release(found[name].address, found[name].bytes);
    }
    this.experts[layer]![expert] = placed;
  }

  free(): void {
    this.mapped.free();
    for (const context of this.contexts) context.free();
  }
}
