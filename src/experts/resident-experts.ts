import type { Device } from '../devices/device.js';
import type { Uploader } from '../devices/upload.js';
import { type Tensor, TensorContext, type Type } from '../ggml/tensor.js';
import type { Checkpoint } from '../weights/checkpoint.js';
import { MATRICES, type MatrixName, type PlacedExpert } from './expert.js';
import type { Placement } from './placement.js';
import { type ExpertsSpec, matrixShape } from './spec.js';
import { findExpert } from './stored.js';

type Matrices = Record<MatrixName, Tensor>;

/** Three-dimensional tensors [count, out, in] (PyTorch's order) for `count` experts of one shape. */
export function slab(context: TensorContext, spec: ExpertsSpec, type: Type, count: number): Matrices {
  const tensors = MATRICES.map((name) => {
    const [rows, columns] = matrixShape(spec, name);
    return [name, context.tensor(type, columns, rows, count)] as const;
  });
  return Object.fromEntries(tensors) as Matrices;
}

/** The expert at `index` of a slab. */
export function inSlab({ gate, up, down }: Matrices, index: number): PlacedExpert {
  return { gate: { tensor: gate, index }, up: { tensor: up, index }, down: { tensor: down, index } };
}

/** Experts that stay on the accelerator; those of one layer lie in one slab. */
export class ResidentExperts {
  private readonly context: TensorContext;
  private readonly slabs: (Matrices | undefined)[];
  private readonly slots: Map<number, number>[];
  readonly count: number;

  /** Allocates what `placement` names. @throws FiddlerError `memory` */
  constructor(
    accelerator: Device,
    private readonly layers: readonly ExpertsSpec[],
    private readonly placement: Placement,
    type: Type,
  ) {
    this.context = new TensorContext(layers.length * MATRICES.length);
    this.slots = placement.map((experts) => new Map(experts.map((expert, slot) => [expert, slot])));
    this.count = placement.reduce((sum, experts) => sum + experts.length, 0);
    this.slabs = layers.map((spec, layer) => {
      const count = placement[layer]!.length;
      return count > 0 ? slab(this.context, spec, type, count) : undefined;
    });
    if (this.count > 0) accelerator.allocate(this.context, 'experts').markWeights();
  }

  has(layer: number, expert: number): boolean {
    return this.slots[layer]!.has(expert);
  }

  expert(layer: number, expert: number): PlacedExpert {
    return inSlab(this.slabs[layer]!, this.slots[layer]!.get(expert)!);
  }

  /** Copies every expert's weights over and lets their pages in RAM go. */
  fill(checkpoint: Checkpoint, uploader: Uploader, onExpert: () => void): void {
    this.placement.forEach((experts, layer) => {
      experts.forEach((expert, slot) => {
        const found = findExpert(checkpoint, this.layers[layer]!, expert);
        for (const name of MATRICES) {
          const target = this.slabs[layer]![name];
          uploader.upload(target, found[name], slot * target.strides[2]);
          checkpoint.release(found[name].address, found[name].bytes);
        }
        onExpert();
      });
    });
  }

  free(): void {
    this.context.free();
  }
}
