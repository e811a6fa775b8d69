import type { Device } from '../devices/device.js';
import { MappedTensors } from '../devices/mapped.js';
import { Uploader } from '../devices/upload.js';
import type { Pointer } from '../ggml/api.js';
import { TensorContext, Type } from '../ggml/tensor.js';
import type { Checkpoint } from '../weights/checkpoint.js';
import { eachMatrix, MATRICES, mapMatrices, matrixEntries } from './activations.js';
import type { Exchange } from './exchange.js';
import { biasLayout, type PlacedExpert } from './expert.js';
import { expertBytes as bytesOf, type ExpertsSpec, matrixShape } from './spec.js';
import { findExpert, type StoredExpert } from './stored.js';
import { releaseExpert, writeExpert } from './writing.js';

/** What memory for copies of experts is counted as. */
export const EXPERT_COPIES = 'memory for experts';

/** Experts in the host's memory: in place in the mapped files, or copies where that does not serve. */
export class HostExperts {
  private readonly mapped: MappedTensors;
  private readonly experts: (PlacedExpert | undefined)[][];
  /** Experts that are in memory of their own. */
  private readonly copies: Set<number>[];
  private readonly types: readonly Type[];
  private readonly copied: readonly boolean[];
  private readonly contexts: TensorContext[] = [];
  /** Memory for one expert, which exchanges take turns with. */
  private spare?: PlacedExpert;

  /** @param type computed type; undefined computes in the stored one */
  constructor(
    private readonly checkpoint: Checkpoint,
    private readonly cpu: Device,
    private readonly layers: readonly ExpertsSpec[],
    type: Type | undefined,
    /** Type of the buffers for copies: memory that the accelerator copies from fast. */
    private readonly copyType: Pointer,
  ) {
    this.mapped = new MappedTensors(checkpoint);
    this.experts = layers.map(() => []);
    this.copies = layers.map(() => new Set());
    const first = layers.map((spec) => findExpert(checkpoint, spec, 0));
    this.types = first.map(({ up }) => type ?? up.type);
    this.copied = first.map((found, layer) => !liesInPlace(found, this.types[layer]!));
  }

  /** The type in which a layer's experts are computed; all of a layer are stored alike. */
  typeOf(layer: number): Type {
    return this.types[layer]!;
  }

  /** Bytes of one expert of a layer in the computed type. */
  expertBytes(layer: number): number {
    return bytesOf(this.layers[layer]!, this.typeOf(layer));
  }

  /** The expert, placed at first use; one that must be copied holds nothing until `copy`. */
  expert(layer: number, expert: number): PlacedExpert {
    const known = this.experts[layer]![expert];
    if (known) return known;
    const placed = this.mustCopy(layer) ? this.place(layer, expert) : this.inPlace(this.find(layer, expert));
    this.experts[layer]![expert] = placed;
    return placed;
  }

  /** Whether a layer's experts cannot be computed as they lie in the files. */
  mustCopy(layer: number): boolean {
    return this.copied[layer]!;
  }

  private inPlace(found: StoredExpert): PlacedExpert {
    return mapMatrices(found, (m) => {
      return { tensor: this.mapped.at((m as { address: Pointer }).address, m.type, m.rows, m.columns) };
    });
  }

  private find(layer: number, expert: number): StoredExpert {
    return findExpert(this.checkpoint, this.layers[layer]!, expert);
  }

  /** The expert is computed from the mapped files, where it lies. */
  isInPlace(layer: number, expert: number): boolean {
    return !this.mustCopy(layer) && !this.copies[layer]!.has(expert);
  }

  /** Copies the expert into memory of its own in the computed type, and lets its pages go. */
  copy(layer: number, expert: number): void {
    const found = this.find(layer, expert);
    const placed = this.copies[layer]!.has(expert) ? this.expert(layer, expert) : this.place(layer, expert);
    writeExpert(new Uploader(this.cpu), this.checkpoint, found, placed);
    this.experts[layer]![expert] = placed;
  }

  /**
   * One expert comes here from the accelerator, another leaves for there. Where experts are copies, those of the two take
   * turns with spare memory.
   * @param read copies the evicted expert's weights into memory; done when it returns
   * @param write copies the admitted one's from there; done when it returns
   */
  exchange(
    { layer, evicted, admitted }: Exchange,
    read: (target: PlacedExpert) => void,
    write: (source: PlacedExpert) => void,
  ): void {
    const source = this.expert(layer, admitted);
    const copies = this.copies[layer]!;
    if (!copies.has(admitted)) {
      write(source);
      releaseExpert(this.checkpoint, this.find(layer, admitted));
      return;
    }
    this.spare ??= this.allocate(layer);
    read(this.spare);
    write(source);
    this.experts[layer]![evicted] = this.spare;
    this.experts[layer]![admitted] = undefined;
    this.spare = source;
    copies.delete(admitted);
    copies.add(evicted);
  }

  /** Memory for a copy of that expert. */
  private place(layer: number, expert: number): PlacedExpert {
    this.copies[layer]!.add(expert);
    return this.allocate(layer);
  }

  /** Memory for a copy of an expert. */
  private allocate(layer: number): PlacedExpert {
    const spec = this.layers[layer]!;
    const context = new TensorContext(MATRICES.length + 1);
    this.contexts.push(context);
    const matrices = eachMatrix(spec.activation, (name) => {
      const [rows, columns] = matrixShape(spec, name);
      return { tensor: context.tensor(this.typeOf(layer), columns, rows) };
    });
    const biases = spec.biases && { tensor: context.tensor(Type.F32, biasLayout(spec).size) };
    this.cpu.allocate(context, EXPERT_COPIES, this.copyType).markWeights();
    return { ...matrices, biases };
  }

  free(): void {
    this.mapped.free();
    for (const context of this.contexts) context.free();
  }
}

/** Whether an expert is computed as it lies in the files: in that type and order, with nothing to be made. */
function liesInPlace(found: StoredExpert, type: Type): boolean {
  return !found.biases && matrixEntries(found).every(([, m]) => 'address' in m && m.type === type);
}
