import { afterAll, describe, expect, it } from 'vitest';
import { openCpu } from '../../src/devices/accelerators.js';
import { floats } from '../../src/devices/device.js';
import { eachMatrix, matrixEntries } from '../../src/experts/activations.js';
import { Assignments } from '../../src/experts/assignments.js';
import { biasLayout, buildExpert, type PlacedExpert, type RowRange } from '../../src/experts/expert.js';
import type { HostExperts } from '../../src/experts/host-experts.js';
import { NativeExperts, nativeComputes } from '../../src/experts/lanes/native.js';
import { type ExpertsSpec, matrixShape, uniformTypes } from '../../src/experts/spec.js';
import { api } from '../../src/native/ggml/api.js';
import { TensorContext, Type } from '../../src/native/ggml/tensor.js';
import { loadExpertKernels } from '../../src/native/kernels.js';
import { encodeWeights, random } from '../native/weights.js';

const [HIDDEN, WIDTH, COUNT, TOKENS] = [64, 192, 2, 3];
const none = { name: '' };
const matrices = () => ({ gate: none, up: none, down: none });
const plain = { count: COUNT, chosen: 1, hidden: HIDDEN, width: WIDTH, matrices };
const SPECS = {
  silu: { ...plain, activation: 'silu' },
  relu: { ...plain, activation: 'relu' },
  'silu, limited': { ...plain, activation: 'silu-limited' },
  'clamped, with biases': { ...plain, activation: 'swiglu-clamped', biases: matrices },
} as const satisfies Record<string, ExpertsSpec>;

const cpu = openCpu();
const contexts: TensorContext[] = [];
const newContext = () => {
  contexts.push(new TensorContext(8));
  return contexts.at(-1)!;
};
afterAll(() => {
  cpu.free();
  for (const context of contexts) context.free();
});

/** Random numbers that deviate by about 1; the same for the same seed. */
const numbers = (count: number, seed: number) => Float32Array.from({ length: count }, random(seed));

function expertOf(spec: ExpertsSpec, type: Type, seed: number): PlacedExpert {
  const context = newContext();
  const placed = eachMatrix(spec.activation, (name) => {
    const [rows, columns] = matrixShape(spec, name);
    return { tensor: context.tensor(type, columns, rows) };
  });
  const biases = spec.biases && { tensor: context.tensor(Type.F32, biasLayout(spec).size) };
  cpu.allocate(context, 'an expert');
  for (const [i, [, { tensor }]] of matrixEntries(placed).entries()) {
    const values = numbers(HIDDEN * WIDTH, 10 * seed + i).map((value) => value / 8);
    const stored = encodeWeights(type === Type.F32 ? 'F32' : 'Q8_0', values);
    api().tensorSet(tensor.pointer, stored, 0, tensor.bytes);
  }
  if (biases)
    api().tensorSet(biases.tensor.pointer, numbers(biasLayout(spec).size, 10 * seed + 3), 0, biases.tensor.bytes);
  return { ...placed, biases };
}

const PARTS: RowRange[] = [
  { from: 0, to: 64 },
  { from: 64, to: WIDTH },
];

describe.skipIf(!loadExpertKernels())('the CPU lane by native kernels', () => {
  const types = { F32: Type.F32, Q8_0: Type.Q8_0 } as const;
  const cases = Object.keys(SPECS).flatMap((spec) => Object.keys(types).map((type) => [spec, type] as const));

  it.each(cases)('%s, %s: as ggml computes it, whole and in parts', (name, typeName) => {
    const spec: ExpertsSpec = SPECS[name as keyof typeof SPECS];
    const type = types[typeName as keyof typeof types];
    const experts = [1, 2].map((seed) => expertOf(spec, type, seed));
    const context = newContext();
    const [x, y, ggml] = [0, 1, 2].map(() => context.tensor(Type.F32, HIDDEN, TOKENS)) as [never, never, never];
    cpu.allocate(context, 'a test');
    floats(x).set(numbers(HIDDEN * TOKENS, 9));

    const kernels = loadExpertKernels()!;
    const host = { expert: (_: number, e: number) => experts[e]! } as HostExperts;
    const pool = kernels.pool(1);
    const uniform = [uniformTypes(spec, type)];
    const native = new NativeExperts({ name: '', pool, spin: false }, host, [spec], uniform, x, y, false);
    const assignments = new Assignments(COUNT, TOKENS);
    const routes = { experts: Int32Array.of(0, 1, 1), weights: Float32Array.of(0.5, 2, 0.25) };
    assignments.group({ layer: 0, tokens: TOKENS, chosen: 1, ...routes }, () => false);
    const run = (ranges: (RowRange | undefined)[]) => {
      floats(y).fill(0);
      for (const range of ranges) {
        const shares = [0, 1].map((expert) => ({ expert, tokens: 1, lane: 'cpu' as const, range }));
        native.start({ layer: 0, shares, assignments, tokens: TOKENS });
        native.finish();
      }
      return floats(y).slice();
    };

    const expected = [0, 1, 2].flatMap((token) => {
      const expert = experts[routes.experts[token]!]!;
      cpu.once(64, (g) => g.compute(g.copy(buildExpert(g, expert, spec.activation, x), ggml)));
      return [...floats(ggml).slice(token * HIDDEN, (token + 1) * HIDDEN)].map((v) => v * routes.weights[token]!);
    });
    const squares = (values: readonly number[]) => values.reduce((sum, v) => sum + v * v, 0);
    // ggml rounds the tokens to eight bits where the weights are.
    const close = (ours: Float32Array) =>
      expect(squares(expected.map((v, i) => ours[i]! - v)) / squares(expected)).toBeLessThan(
        type === Type.F32 ? 1e-10 : 1e-3,
      );
    close(run([undefined]));
    close(run(PARTS));
    pool.close();
  });

  it('is asked only for what the kernels compute', () => {
    const computes = (spec: ExpertsSpec, type: Type) => nativeComputes(spec, uniformTypes(spec, type));
    expect(computes(SPECS.silu, Type.BF16)).toBe(true);
    expect(computes(SPECS['clamped, with biases'], Type.MXFP4)).toBe(true);
    expect(computes(SPECS.silu, Type.TQ1_0)).toBe(false);
    expect(nativeComputes(SPECS.silu, { gate: Type.Q4_K, up: Type.Q4_K, down: Type.Q6_K })).toBe(true);
    expect(nativeComputes(SPECS.silu, { gate: Type.Q4_K, up: Type.Q4_K, down: Type.Q1_0 })).toBe(false);
  });
});
