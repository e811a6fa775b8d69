import type { Device } from '../devices/device.js';
import type { Uploader } from '../devices/upload.js';
import { type Tensor, TensorContext, Type } from '../ggml/tensor.js';
import type { Checkpoint } from '../weights/checkpoint.js';
import { type ByMatrix, eachMatrix, MATRICES, mapMatrices } from './activations.js';
import { biasLayout, type PlacedExpert } from './expert.js';
import type { Placement } from './placement.js';
import { type ExpertsSpec, matrixShape } from './spec.js';
import { findExpert } from './stored.js';
import { releaseExpert, writeExpert } from './writing.js';

/** Experts of one shape: three-dimensional tensors [count, out, in] (PyTorch's order), biases [count, size]. */
export type Slab = ByMatrix<Tensor> & { biases?: Tensor };

/** Most tensors of a slab. */
export const SLAB_TENSORS = MATRICES.length + 1;

/** A slab for `count` experts. */
export function slab(context: TensorContext, spec: ExpertsSpec, type: Type, count: number): Slab {
  const matrices = eachMatrix(spec.activation, (name) => {
    const [rows, columns] = matrixShape(spec, name);
    return context.tensor(type, columns, rows, count);
  });
  return spec.biases ? { ...matrices, biases: context.tensor(Type.F32, biasLayout(spec).size, count) } : matrices;
}

/** The expert at `index` of a slab. */
export function inSlab(slab: Slab, index: number): PlacedExpert {
  const at = (tensor: Tensor) => ({ tensor, index });
  return { ...mapMatrices(slab, at), biases: slab.biases && at(slab.biases) };
}

/** Experts that stay on the accelerator; those of one layer lie in one slab. */
export class ResidentExperts {
  private readonly context: TensorContext;
  private readonly slabs: (Slab | undefined)[];
  private readonly slots: Map<number, number>[];
  readonly count: number;

  /** Allocates what `placement` names. @throws FiddlerError `memory` */
  constructor(
    accelerator: Device,
    private readonly layers: readonly ExpertsSpec[],
    private readonly placement: Placement,
    type: Type,
  ) {
    this.context = new TensorContext(layers.length * SLAB_TENSORS);
    this.slots = placement.map((experts) => new Map(experts.map((expert, slot) => [expert, slot])));
    this.count = placement.reduce((sum, experts) => sum + experts.length, 0);
    this.slabs = layers.map((spec, layer) => {
      const count = placement[layer]!.length;
      return count > 0 ? slab(this.context, spec, type, count) : undefined;
    });
    try {
      if (this.count > 0) accelerator.allocate(this.context, 'experts').markWeights();
    } catch (error) {
      this.context.free();
      throw error;
    }
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
        writeExpert(uploader, found, inSlab(this.slabs[layer]!, slot));
        releaseExpert(checkpoint, found);
        onExpert();
      });
    });
  }

  free(): void {
    this.context.free();
  }
}
