import type { Device } from '../../src/devices/device.js';
import { type ByMatrix, mapMatrices, matrixEntries } from '../../src/experts/activations.js';
import { biasLayout, type PlacedExpert } from '../../src/experts/expert.js';
import { type Filled, StreamSlots } from '../../src/experts/lanes/slots.js';
import { sourceParts } from '../../src/experts/source-parts.js';
import { type ExpertsSpec, type MatrixTypes, matrixShape } from '../../src/experts/spec.js';
import { api } from '../../src/native/ggml/api.js';
import { TensorContext, Type } from '../../src/native/ggml/tensor.js';

export const EXPERTS = 12;
export const SLOTS = 8;

const matrices = (): ByMatrix<{ name: string }> => ({
  gate: { name: 'gate' },
  up: { name: 'up' },
  down: { name: 'down' },
});
const SPEC: ExpertsSpec = { count: EXPERTS, chosen: 2, hidden: 256, width: 512, activation: 'silu', matrices };

/** Layers whose experts differ in the type of down, as in Q4_K_M, or in none; with biases or without. */
export const LAYERS: Readonly<Record<string, { spec: ExpertsSpec; types: readonly MatrixTypes[] }>> = {
  'one form': { spec: SPEC, types: [typed(Type.Q4_K), typed(Type.Q4_K)] },
  'several forms': { spec: SPEC, types: [typed(Type.Q4_K), typed(Type.Q6_K)] },
  'several forms with biases': {
    spec: { ...SPEC, biases: matrices },
    types: [typed(Type.Q4_K), typed(Type.Q6_K), typed(Type.Q5_0)],
  },
};

function typed(down: Type): MatrixTypes {
  return { gate: Type.Q4_K, up: Type.Q4_K, down };
}

/** Experts of layers in the host's memory, each matrix of a layer in one piece, and slots for them on a device. */
export class SlotContents {
  readonly slots: StreamSlots;
  private readonly sources: PlacedExpert[][];

  constructor(
    cpu: Device,
    private readonly device: Device,
    { spec, types }: (typeof LAYERS)[string],
  ) {
    this.sources = types.map((each, layer) => sourcesOf(cpu, spec, each, layer));
    this.slots = new StreamSlots(
      device,
      types.map(() => spec),
      types,
      { count: SLOTS, strided: true },
    );
  }

  private copies(layer: number, experts: readonly number[]) {
    return experts.map((expert) => {
      const source = this.sources[layer]![expert]!;
      return { key: layer * EXPERTS + expert, source, parts: sourceParts(source, [0, 0, 0]) };
    });
  }

  copyAhead(layer: number, experts: readonly number[]): number {
    return this.slots.copyAhead(layer, this.copies(layer, experts));
  }

  /** Copies experts of a layer, unless they are there, and gives what then lies in each one's slot, beside what should: part by part. */
  fill(layer: number, experts: readonly number[]): { filled: Filled[]; found: Uint8Array[]; expected: Uint8Array[] } {
    const wanted = this.copies(layer, experts).map((copy) => ({ ...copy, cached: true as const }));
    const filled = this.slots.fill(layer, wanted);
    this.device.wait();
    const found = filled.flatMap(({ placed }) => partsIn(placed));
    const expected = experts.flatMap((expert) => partsIn(this.sources[layer]![expert]!));
    this.slots.compute(filled, () => {});
    return { filled, found, expected };
  }
}

/** The bytes of each part of an expert. */
function partsIn(placed: PlacedExpert): Uint8Array[] {
  const parts = [...matrixEntries(placed).map(([, place]) => ({ ...place, of: 2 })), { ...placed.biases, of: 1 }];
  return parts.flatMap(({ tensor, index = 0, of }) => {
    if (!tensor) return [];
    const one = tensor.bytes / tensor.ne[of]!;
    const bytes = new Uint8Array(one);
    api().tensorGet(tensor.pointer, bytes, index * tensor.strides[of]!, one);
    return [bytes];
  });
}

function sourcesOf(cpu: Device, spec: ExpertsSpec, types: MatrixTypes, layer: number): PlacedExpert[] {
  const context = new TensorContext(8);
  const all = mapMatrices(types, (type, name) => {
    const [rows, columns] = matrixShape(spec, name);
    return context.tensor(type, columns, rows, EXPERTS);
  });
  const biases = spec.biases && context.tensor(Type.F32, biasLayout(spec).size, EXPERTS);
  const buffer = cpu.allocate(context, 'experts');
  for (const [i, tensor] of [...matrixEntries(all).map(([, t]) => t), ...(biases ? [biases] : [])].entries()) {
    const noise = (at: number) => 1 + ((at * 31 + (at >> 8) * 7 + 50 * i + layer) % 255);
    api().tensorSet(
      tensor.pointer,
      Uint8Array.from({ length: tensor.bytes }, (_, at) => noise(at)),
      0,
      tensor.bytes,
    );
  }
  return Array.from({ length: EXPERTS }, (_, expert) => {
    const placed = mapMatrices(all, ({ type, ne, strides, address }) => {
      const tensor = new TensorContext(1).tensor(type, ne[0], ne[1]);
      buffer.place(tensor, address + BigInt(expert * strides[2]));
      return { tensor };
    });
    return biases ? { ...placed, biases: { tensor: biases, index: expert } } : placed;
  });
}
