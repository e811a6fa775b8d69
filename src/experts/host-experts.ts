import type { Device } from '../devices/device.js';
import { MappedTensors } from '../devices/mapped.js';
import { Uploader } from '../devices/upload.js';
import type { Pointer } from '../native/ggml/api.js';
import { type Tensor, TensorContext, Type } from '../native/ggml/tensor.js';
import type { Checkpoint } from '../weights/checkpoint.js';
import { eachMatrix, MATRICES, mapMatrices, matrixEntries } from './activations.js';
import type { Exchange } from './exchange.js';
import { type PlacedExpert, vectorSize } from './expert.js';
import { type SourcePart, sourceParts } from './source-parts.js';
import { expertBytes as bytesOf, type ExpertsSpec, type MatrixTypes, matrixShape } from './spec.js';
import { findExpert, type StoredExpert } from './stored.js';
import { releaseExpert, writeBiases, writeExpert } from './writing.js';

/** Memory from one address to before another. */
export interface Range {
  from: Pointer;
  to: Pointer;
}

/** What memory for copies of experts is counted as. */
export const EXPERT_COPIES = 'memory for experts';

/** Experts in the host's memory: in place in the mapped files, or copies where that does not serve. */
export class HostExperts {
  private readonly mapped: MappedTensors;
  private readonly experts: (PlacedExpert | undefined)[][];
  /** Orders the experts of each layer; undefined where that was not asked for. */
  private readonly places: (number | undefined)[][];
  /** Experts that are in memory of their own. */
  private readonly copies: Set<number>[];
  private readonly copied: readonly boolean[];
  /** Of layers whose experts are computed in place and have biases: these [count, size]. */
  private readonly biases: readonly (Tensor | undefined)[];
  /** Experts that go to the accelerator stay in memory here too, so that none has to come back: all are pinned in place. */
  keepsAll = false;
  /** Where pieces of the mapped files begin that are pinned, and where they end; undefined where none has to be. */
  private pieces?: { from: Float64Array; to: Float64Array };
  /** By expert, of those that are in place. */
  private parts: (readonly SourcePart[] | undefined)[][];
  /** Memory for one expert, which exchanges take turns with. */
  private spare?: PlacedExpert;

  constructor(
    private readonly checkpoint: Checkpoint,
    private readonly cpu: Device,
    private readonly layers: readonly ExpertsSpec[],
    /** The types in which each layer's experts are computed. */
    readonly types: readonly MatrixTypes[],
    /** Type of the buffers for copies: memory that the accelerator copies from fast. */
    private readonly copyType: Pointer,
    /** Puts a matrix's rows where they are computed, before they are written. */
    private readonly placeRows?: (address: Pointer, bytes: number) => void,
  ) {
    this.mapped = new MappedTensors(checkpoint);
    this.experts = layers.map(() => []);
    this.places = layers.map(() => []);
    this.parts = layers.map(() => []);
    this.copies = layers.map(() => new Set());
    this.copied = layers.map((_, layer) => !this.allInPlace(layer));
    this.biases = layers.map((spec, layer) =>
      vectorSize(spec) > 0 && !this.mustCopy(layer) ? this.biasesFor(spec) : undefined,
    );
  }

  typesOf(layer: number): MatrixTypes {
    return this.types[layer]!;
  }

  /** Bytes of one expert of a layer in the computed types. */
  expertBytes(layer: number): number {
    return bytesOf(this.layers[layer]!, this.typesOf(layer));
  }

  /** Memory for the biases of a layer's experts, which are computed in place but for these: files hold no such vectors. */
  private biasesFor(spec: ExpertsSpec): Tensor {
    const context = new TensorContext(1);
    const tensor = context.tensor(Type.F32, vectorSize(spec), spec.count);
    this.cpu.allocate(context, EXPERT_COPIES, this.copyType).markWeights();
    return tensor;
  }

  /** The expert, placed at first use; one that must be copied holds nothing until `copy`. */
  expert(layer: number, expert: number): PlacedExpert {
    const known = this.experts[layer]![expert];
    if (known) return known;
    const placed = this.mustCopy(layer) ? this.place(layer, expert) : this.inPlace(layer, expert);
    this.experts[layer]![expert] = placed;
    return placed;
  }

  /** Orders a layer's experts: those that lie in the files as they do there. */
  placeOf(layer: number, expert: number): number {
    const places = this.places[layer]!;
    const place = () => {
      if (!this.isInPlace(layer, expert)) return expert;
      return this.mapped.offset(this.expert(layer, expert).down.tensor.address);
    };
    places[expert] ??= place();
    return places[expert];
  }

  /** These pieces of the mapped files were pinned, ascending. */
  pinned(pieces: readonly Range[]): void {
    const of = (addresses: readonly Pointer[]) => Float64Array.from(addresses, Number); // exact: below 2^53
    this.pieces = { from: of(pieces.map(({ from }) => from)), to: of(pieces.map(({ to }) => to)) };
    this.parts = this.layers.map(() => []);
  }

  /** What is copied of an expert; one in memory of its own is not copied together with others. */
  partsOf(layer: number, expert: number): readonly SourcePart[] {
    const source = this.expert(layer, expert);
    if (!this.isInPlace(layer, expert)) return sourceParts(source);
    const known = this.parts[layer]!;
    known[expert] ??= sourceParts(
      source,
      matrixEntries(source).map(([, { tensor }]) => this.pieceOf(tensor)),
    );
    return known[expert];
  }

  private pieceOf({ address, bytes }: Tensor): number {
    if (!this.pieces) return 0;
    const { from, to } = this.pieces;
    const begin = Number(address);
    let [piece, after] = [-1, from.length];
    while (after - piece > 1) {
      const middle = (piece + after) >> 1;
      if (from[middle]! <= begin) piece = middle;
      else after = middle;
    }
    return piece >= 0 && begin + bytes <= to[piece]! ? piece : -1;
  }

  /** Whether a layer's experts cannot be computed as they lie in the files. */
  mustCopy(layer: number): boolean {
    return this.copied[layer]!;
  }

  /** Experts that are stored in several types are computed in float32; of others the first speaks for all. */
  private allInPlace(layer: number): boolean {
    const types = this.typesOf(layer);
    const mayDiffer = Object.values(types).includes(Type.F32);
    const seen = Array.from({ length: mayDiffer ? this.layers[layer]!.count : 1 }, (_, expert) => expert);
    return seen.every((expert) => liesInPlace(this.find(layer, expert), types));
  }

  private inPlace(layer: number, expert: number): PlacedExpert {
    const found = this.find(layer, expert);
    const matrices = mapMatrices(found, (m) => {
      return { tensor: this.mapped.at((m as { address: Pointer }).address, m.type, m.rows, m.columns) };
    });
    const tensor = this.biases[layer];
    if (!tensor) return matrices;
    const biases = { tensor, index: expert };
    if (!this.cpu.countsOnly) writeBiases(new Uploader(this.cpu), found, biases);
    return { ...matrices, biases };
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
   * @param read queues the copy of the evicted expert's weights into memory
   * @param write queues the copy of the admitted one's from there. Where it fails, `left` still is what was there
   * @param wait returns once both are done
   */
  exchange(
    { layer, evicted, admitted }: Exchange,
    read: (target: PlacedExpert) => void,
    write: (source: PlacedExpert, left: PlacedExpert) => void,
    wait: () => void,
  ): void {
    const source = this.expert(layer, admitted);
    const copies = this.copies[layer]!;
    if (!copies.has(admitted)) {
      write(source, this.expert(layer, evicted));
      if (this.keepsAll) return;
      wait();
      releaseExpert(this.checkpoint, this.find(layer, admitted));
      return;
    }
    this.spare ??= this.allocate(layer);
    read(this.spare);
    write(source, this.spare);
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
    const matrices = eachMatrix(spec.activation, (name) => {
      const [rows, columns] = matrixShape(spec, name);
      return { tensor: context.tensor(this.typesOf(layer)[name]!, columns, rows) };
    });
    const size = vectorSize(spec);
    const biases = size > 0 ? { tensor: context.tensor(Type.F32, size) } : undefined;
    this.cpu.allocate(context, EXPERT_COPIES, this.copyType).markWeights();
    if (this.placeRows)
      for (const [, { tensor }] of matrixEntries(matrices)) this.placeRows(tensor.address, tensor.bytes);
    return { ...matrices, biases };
  }
}

/** Whether an expert's matrices are computed as they lie in the files: in those types and in order, with nothing to be made. */
function liesInPlace(found: StoredExpert, types: MatrixTypes): boolean {
  return matrixEntries(found).every(([name, m]) => 'address' in m && m.type === types[name]);
}
