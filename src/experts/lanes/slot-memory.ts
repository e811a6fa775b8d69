import type { Device } from '../../devices/device.js';
import { api } from '../../native/ggml/api.js';
import type { Backend, Buffer } from '../../native/ggml/backend.js';
import { blockBytes, blockElements, rowBytes, Tensor, TensorContext, Type } from '../../native/ggml/tensor.js';
import { type Mapping, mapAnonymous } from '../../native/os/memory.js';
import { MATRICES, type MatrixName, mapMatrices, matrixEntries } from '../activations.js';
import { type PlacedExpert, vectorSize } from '../expert.js';
import { innerJoins, inSlab, SLAB_TENSORS, type Slab, slab } from '../resident-experts.js';
import { type ExpertsSpec, type MatrixTypes, matrixShape } from '../spec.js';

/** Matrices begin at multiples of this many bytes, which suits every device. */
const ALIGNMENT = 256;

type PartName = MatrixName | 'biases';

/** Where a part of experts of one form lies in the slots: `offset` bytes behind where each begins, which is `stride` bytes apart. */
interface Span {
  /** All slots. */
  tensor: Tensor;
  offset: number;
  stride: number;
}

/** One of an expert's parts in all slots: its place is as large as the largest that goes there. */
interface Region {
  tensor: Tensor;
  bytes: number;
  buffer: Buffer;
  /** Before the part of each form: whatever form they are of, matrices end at about the same byte. */
  offsets: readonly number[];
  /** Where in each slot zeros lie: behind what was copied there last. */
  zerosAt: number[];
}

/** Experts of one shape and one set of types. */
interface Form {
  spec: ExpertsSpec;
  types: MatrixTypes;
}

/** Slots on an accelerator for one expert of any layer each, whatever its types. */
export class SlotMemory {
  private readonly forms: Form[] = [];
  private readonly formOf: number[];
  /** By form and slot. */
  private readonly places: PlacedExpert[][];
  private readonly regions = new Map<PartName, Region>();
  /** By form: all slots as one slab, where they can be that. */
  private readonly slabs: (Slab | undefined)[];
  /** Up lies behind gate, in whatever form. */
  private readonly joined: boolean;
  /** Bytes behind a matrix that the device's kernels may read; what lies there must be numbers. */
  private padding = 0;
  private zeros?: Mapping;

  constructor(
    private readonly accelerator: Device,
    layers: readonly ExpertsSpec[],
    types: readonly MatrixTypes[],
    count: number,
    /** Whether the device takes experts by number that lie further apart than they are large. */
    strided: boolean,
  ) {
    this.formOf = layers.map((spec, l) => this.formNumber(spec, types[l]!));
    const [form, ...others] = this.forms;
    this.joined = strided && this.forms.every(({ spec, types }) => innerJoins(spec, types));
    if (others.length > 0) {
      this.places = this.severalForms(count);
      this.slabs = this.forms.map((_, f) => (strided ? this.stridedSlab(f, count) : undefined));
    } else {
      const context = new TensorContext(SLAB_TENSORS);
      const slots = slab(context, form!.spec, form!.types, count, this.joined);
      const buffer = accelerator.allocate(context, 'streaming slots').markWeights();
      if (!accelerator.countsOnly) buffer.clear(); // kernels may read behind a row, where nothing was copied yet
      this.slabs = [slots];
      this.places = [Array.from({ length: count }, (_, slot) => inSlab(slots, slot))];
    }
  }

  private formNumber(spec: ExpertsSpec, types: MatrixTypes): number {
    const key = (form: Form) => {
      const { hidden, width, activation } = form.spec;
      return [hidden, width, activation, vectorSize(form.spec), ...matrixEntries(form.types).flat()].join();
    };
    const found = this.forms.findIndex((form) => key(form) === key({ spec, types }));
    return found >= 0 ? found : this.forms.push({ spec, types }) - 1;
  }

  private severalForms(count: number): PlacedExpert[][] {
    const made = this.forms.map((form) => Array.from({ length: count }, () => this.tensors(form)));
    const ofSlots = (name: PartName) => made.map((slots) => slots.flatMap((placed) => placed[name]?.tensor ?? []));
    for (const name of [...MATRICES, 'biases'] as const) {
      if (this.joined && name === 'up') continue;
      const tensors = ofSlots(name);
      const behind = this.joined && name === 'gate' ? ofSlots('up') : undefined;
      if (tensors.flat().length > 0) this.allocate(name, tensors, count, behind);
    }
    const types = this.forms.flatMap((form) => Object.values(form.types));
    this.padding = Math.max(...types.map((type) => this.paddingOf(type)));
    if (this.padding > 0) this.zeros = mapAnonymous('zeros', this.padding);
    return made;
  }

  /** All slots as one slab of experts of that form, which lie further apart than they are large. */
  private stridedSlab(form: number, count: number): Slab {
    const { spec, types } = this.forms[form]!;
    const context = new TensorContext(SLAB_TENSORS);
    const contiguous = slab(context, spec, types, count);
    const apart = (tensor: Tensor, name: PartName) => {
      const { region, offset } = this.regionOf(form, name);
      const { bytes, buffer } = region;
      buffer.place(tensor, region.tensor.address + BigInt(offset));
      const [element, row, matrix] = tensor.strides;
      const strides =
        name === 'biases'
          ? ([element, bytes, matrix, matrix] as const)
          : ([element, row, bytes, bytes * count] as const);
      return new Tensor(tensor.pointer, tensor.type, tensor.ne, strides);
    };
    const { biases } = contiguous;
    const [rows, columns] = matrixShape(spec, 'up');
    const inner = this.joined ? apart(context.tensor(types.up, columns, 2 * rows, count), 'gate') : undefined;
    return { ...mapMatrices<Tensor, Tensor>(contiguous, apart), inner, biases: biases && apart(biases, 'biases') };
  }

  /** Where a part of experts of that form lies: in which region, and how many bytes behind where each slot's begins. */
  private regionOf(form: number, name: PartName): { region: Region; offset: number } {
    const behind = this.joined && name === 'up';
    const region = this.regions.get(behind ? 'gate' : name)!;
    return { region, offset: region.offsets[form]! + (behind ? this.innerBytes(form) : 0) };
  }

  /** Bytes of gate, or of up, of experts of that form. */
  private innerBytes(form: number): number {
    return this.places[form]![0]!.up.tensor.bytes;
  }

  /** Tensors of one slot for experts of that form, without memory. */
  private tensors({ spec, types }: Form): PlacedExpert {
    const context = new TensorContext(SLAB_TENSORS);
    const matrices = mapMatrices(types, (type, name) => {
      const [rows, columns] = matrixShape(spec, name);
      return { tensor: context.tensor(type, columns, rows) };
    });
    const size = vectorSize(spec);
    return size > 0 ? { ...matrices, biases: { tensor: context.tensor(Type.F32, size) } } : matrices;
  }

  /**
   * One buffer for a part of all slots; tensors of every form lie over each other in it.
   * @param tensors by form and slot, and others of the same sizes that lie `behind` them
   */
  private allocate(name: PartName, tensors: readonly Tensor[][], count: number, behind?: readonly Tensor[][]): void {
    const firsts = tensors.flatMap(([first]) => first ?? []);
    const times = behind ? 2 : 1;
    const end = Math.max(...firsts.map((tensor) => times * tensor.bytes));
    const largest = end + Math.max(...firsts.map((tensor) => this.allocated(tensor) - tensor.bytes));
    const unit = firsts.reduce((sum, { type }) => leastCommonMultiple(sum, blockBytes(type)), ALIGNMENT);
    const bytes = Math.ceil(largest / unit) * unit;
    const offsets = tensors.map(([first]) => (first ? aligned(end - times * first.bytes) : 0));
    const context = new TensorContext(1);
    const tensor = context.tensor(Type.F32, bytes / 4, count);
    const buffer: Buffer = this.accelerator.allocate(context, 'streaming slots');
    for (const [form, slots] of tensors.entries()) {
      for (const [slot, each] of slots.entries()) {
        const address = tensor.address + BigInt(slot * bytes + offsets[form]!);
        buffer.place(each, address);
        const other = behind?.[form]?.[slot];
        if (other) buffer.place(other, address + BigInt(each.bytes));
      }
    }
    this.regions.set(name, { tensor, bytes, buffer, offsets, zerosAt: [] });
  }

  /** Bytes that the device sets aside for a tensor. */
  private allocated(tensor: Tensor): number {
    return Number(api().allocSize(this.accelerator.bufferType, tensor.pointer));
  }

  /** What the device sets aside behind a row of one block (CUDA's kernels read rows in steps of 512 elements). */
  private paddingOf(type: Type): number {
    const elements = blockElements(type);
    const tensor = new TensorContext(1).tensor(type, elements);
    return this.allocated(tensor) - rowBytes(type, elements);
  }

  /** Where an expert of that layer lies in a slot. */
  at(layer: number, slot: number): PlacedExpert {
    return this.places[this.formOf[layer]!]![slot]!;
  }

  /** Where a part of that layer's experts lies in all slots. */
  spanOf(layer: number, name: PartName): Span {
    const form = this.formOf[layer]!;
    if (this.regions.size > 0) {
      const { region, offset } = this.regionOf(form, name);
      return { tensor: region.tensor, offset, stride: region.bytes };
    }
    const tensor = this.slabs[form]![name]!;
    return { tensor, offset: 0, stride: tensor.strides[name === 'biases' ? 1 : 2] };
  }

  /** All slots as a slab for that layer's experts, and its name; undefined where the device does not take them as one. */
  slabFor(layer: number): { slab: Slab; name: string } | undefined {
    const form = this.formOf[layer]!;
    const slab = this.slabs[form];
    return slab && { slab, name: `slots ${form}` };
  }

  /** Names what lies in a slot: experts of one form in it are the same tensors. */
  name(layer: number, slot: number): string {
    return `${slot}/${this.formOf[layer]!}`;
  }

  /** What was written by half may lie anywhere. */
  forget(): void {
    for (const { zerosAt } of this.regions.values()) zerosAt.length = 0;
  }

  /** Queues zeros behind the first `bytes` bytes of a matrix in a slot, where experts of another form may have left some. */
  clearBehind(on: Backend, layer: number, matrix: MatrixName, slot: number, bytes: number): void {
    if (!this.zeros) return;
    const form = this.formOf[layer]!;
    const { region, offset } = this.regionOf(form, matrix);
    const { tensor, bytes: place, zerosAt } = region;
    const end = offset + bytes;
    const before = this.joined && matrix === 'gate'; // up lies behind it, which is copied next
    if (!before && zerosAt[slot] === end) return;
    const behind = Math.min(this.padding, before ? this.innerBytes(form) - bytes : place - end);
    if (behind > 0) on.write(tensor, this.zeros.address, slot * place + end, behind);
    if (!before) zerosAt[slot] = end;
  }
}

/** The last place for a matrix that begins at or before a byte. */
function aligned(byte: number): number {
  return Math.floor(byte / ALIGNMENT) * ALIGNMENT;
}

function leastCommonMultiple(a: number, b: number): number {
  const divisor = (m: number, n: number): number => (n === 0 ? m : divisor(n, m % n));
  return (a / divisor(a, b)) * b;
}
