import type { Device } from '../devices/device.js';
import type { Uploader } from '../devices/upload.js';
import type { Backend } from '../native/ggml/backend.js';
import { type Tensor, TensorContext, Type } from '../native/ggml/tensor.js';
import type { Checkpoint } from '../weights/checkpoint.js';
import { type ByMatrix, joinsInner, MATRICES, type MatrixName, mapMatrices, matrixEntries } from './activations.js';
import { biasesAt, type PlacedExpert, vectorSize } from './expert.js';
import type { Placement } from './placement.js';
import { type ExpertsSpec, type MatrixTypes, matrixShape } from './spec.js';
import { findExpert } from './stored.js';
import { writeExpert } from './writing.js';

/**
 * Experts of one shape: three-dimensional tensors [count, out, in] (PyTorch's order), biases [count, size]. Where gate and up
 * of each lie behind each other, `inner` are both as one matrix: one product in place of two.
 */
export type Slab = ByMatrix<Tensor> & { biases?: Tensor; inner?: Tensor };

/** Most tensors of a slab. */
export const SLAB_TENSORS = MATRICES.length + 2;

/** Whether gate and up can be one matrix. */
export function innerJoins({ activation, scales }: ExpertsSpec, types: MatrixTypes): boolean {
  return joinsInner(activation) && !scales && types.gate === types.up;
}

/** A slab for `count` experts. @param joined gate and up of each are one matrix */
export function slab(
  context: TensorContext,
  spec: ExpertsSpec,
  types: MatrixTypes,
  count: number,
  joined = false,
): Slab {
  const [rows, columns] = matrixShape(spec, 'up');
  const inner = joined ? context.tensor(types.up, columns, 2 * rows, count) : undefined;
  const half = (name: MatrixName) =>
    context.part(inner!, [columns, rows, count, 1], name === 'gate' ? 0 : rows * inner!.strides[1]);
  const matrices = mapMatrices(types, (type, name) => {
    if (inner && name !== 'down') return half(name);
    const [rows, columns] = matrixShape(spec, name);
    return context.tensor(type, columns, rows, count);
  });
  const size = vectorSize(spec);
  return { ...matrices, inner, ...(size > 0 && { biases: context.tensor(Type.F32, size, count) }) };
}

/** The expert at `index` of a slab. */
export function inSlab(slab: Slab, index: number): PlacedExpert {
  const at = (tensor: Tensor) => ({ tensor, index });
  return { ...mapMatrices(slab, at), biases: slab.biases && at(slab.biases) };
}

/** Queues the copy of an expert in the host's memory to its place on an accelerator. */
export function sendExpert(on: Backend, source: PlacedExpert, target: PlacedExpert): void {
  for (const [name, { tensor, index = 0 }] of matrixEntries(target)) {
    const { address, bytes } = source[name]!.tensor;
    on.write(tensor, address, index * tensor.strides[2], bytes);
  }
  sendBiases(on, source, target);
}

/** Queues the copy of an expert's biases, if it has any. */
export function sendBiases(on: Backend, { biases }: PlacedExpert, target: PlacedExpert): void {
  if (!biases || !target.biases) return;
  const { address, bytes } = biasesAt(biases);
  const { tensor, index = 0 } = target.biases;
  on.write(tensor, address, index * tensor.strides[1], bytes);
}

/** Queues the copy of an expert at the place `index` of a slab to the host's memory. */
function readFromSlab(on: Backend, source: Slab, index: number, target: PlacedExpert): void {
  for (const [name, tensor] of matrixEntries(source)) {
    const { address, bytes } = target[name]!.tensor;
    on.read(tensor, address, bytes, index * tensor.strides[2]);
  }
  if (!source.biases || !target.biases) return;
  const { address, bytes } = biasesAt(target.biases);
  on.read(source.biases, address, bytes, index * source.biases.strides[1]);
}

/** Experts that stay on the accelerator; those of one layer lie in one slab. */
export class ResidentExperts {
  private readonly context: TensorContext;
  private readonly slabs: (Slab | undefined)[];
  private readonly slots: Map<number, number>[];
  readonly count: number;

  /**
   * Allocates what `placement` names.
   * @param strided see SlotMemory
   * @throws FiddlerError `memory`
   */
  constructor(
    accelerator: Device,
    private readonly layers: readonly ExpertsSpec[],
    private readonly placement: Placement,
    types: readonly MatrixTypes[],
    strided: boolean,
  ) {
    this.context = new TensorContext(layers.length * SLAB_TENSORS);
    this.slots = placement.map((experts) => new Map(experts.map((expert, slot) => [expert, slot])));
    this.count = placement.reduce((sum, experts) => sum + experts.length, 0);
    this.slabs = layers.map((spec, layer) => {
      const count = placement[layer]!.length;
      const joined = strided && innerJoins(spec, types[layer]!);
      return count > 0 ? slab(this.context, spec, types[layer]!, count, joined) : undefined;
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

  /** A layer's experts that are resident, in no order. */
  names(layer: number): Pick<ReadonlySet<number>, 'has' | 'keys'> {
    return this.slots[layer]!;
  }

  /** The same, in order. */
  of(layer: number): number[] {
    return [...Array(this.layers[layer]!.count).keys()].filter((expert) => this.has(layer, expert));
  }

  /** A layer's experts that are not resident, in order. */
  missing(layer: number): number[] {
    return [...Array(this.layers[layer]!.count).keys()].filter((expert) => !this.has(layer, expert));
  }

  expert(layer: number, expert: number): PlacedExpert {
    return inSlab(this.slabs[layer]!, this.slotOf(layer, expert));
  }

  /** Where a layer's experts lie; there must be some. */
  slabOf(layer: number): Slab {
    return this.slabs[layer]!;
  }

  /** Number of a resident expert in its layer's slab. */
  slotOf(layer: number, expert: number): number {
    return this.slots[layer]!.get(expert)!;
  }

  /** Copies every expert's weights over and lets their pages in RAM go. */
  fill(checkpoint: Checkpoint, uploader: Uploader, onExpert: (layer: number) => void): void {
    this.placement.forEach((experts, layer) => {
      experts.forEach((expert, slot) => {
        const found = findExpert(checkpoint, this.layers[layer]!, expert);
        writeExpert(uploader, checkpoint, found, inSlab(this.slabs[layer]!, slot));
        onExpert(layer);
      });
    });
  }

  /** Queues the copy of a resident expert to the host's memory. */
  read(on: Backend, layer: number, expert: number, target: PlacedExpert): void {
    readFromSlab(on, this.slabs[layer]!, this.slots[layer]!.get(expert)!, target);
  }

  /** Queues the copy of an expert in the host's memory to the place of a resident one. */
  overwrite(on: Backend, layer: number, expert: number, source: PlacedExpert): void {
    sendExpert(on, source, this.expert(layer, expert));
  }

  /** At the place of `evicted` lies `admitted` from now on. */
  rename(layer: number, [evicted, admitted]: readonly [number, number]): void {
    const slots = this.slots[layer]!;
    slots.set(admitted, slots.get(evicted)!);
    slots.delete(evicted);
  }
}
