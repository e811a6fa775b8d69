import { afterAll, describe, expect, it } from 'vitest';
import { acceleratorKind, openAccelerator, openCpu } from '../../src/devices/accelerators.js';
import { type Device, floats } from '../../src/devices/device.js';
import {
  ACTIVATIONS,
  type ActivationName,
  eachMatrix,
  type InnerName,
  MATRICES,
  type MatrixName,
  matrixEntries,
} from '../../src/experts/activations.js';
import { biasLayout, buildExpert, type PlacedExpert, type RowRange } from '../../src/experts/expert.js';
import { nativeComputes } from '../../src/experts/lanes/native.js';
import { StreamSlots } from '../../src/experts/lanes/slots.js';
import { sourceParts } from '../../src/experts/source-parts.js';
import { type ExpertsSpec, expertBytes, matrixShape, uniformTypes } from '../../src/experts/spec.js';
import { api } from '../../src/native/ggml/api.js';
import { TensorContext, Type } from '../../src/native/ggml/tensor.js';
import { Threadpool } from '../../src/native/ggml/threadpool.js';

const HIDDEN = 32;
const WIDTH = 192;
const TOKENS = 3;

function specOf(activation: ActivationName, biases: boolean): ExpertsSpec {
  const matrices = () => eachMatrix(activation, (name) => ({ name }));
  return {
    count: 1,
    chosen: 1,
    hidden: HIDDEN,
    width: WIDTH,
    activation,
    matrices,
    biases: biases ? matrices : undefined,
  };
}

const cpu = openCpu();
const host = openAccelerator(acceleratorKind('host'), cpu);
const pool = new Threadpool(cpu.pointer, 1, false);
for (const { compute } of [cpu, host]) pool.attach(compute);
const contexts: TensorContext[] = [];
afterAll(() => {
  host.free();
  cpu.free();
  pool.free();
  for (const context of contexts) context.free();
});

const numbers = (count: number, seed: number, factor: number) =>
  Float32Array.from({ length: count }, (_, i) => factor * Math.sin((i + 1) * 12.9898 * seed));
const weights: Record<MatrixName, Float32Array> = {
  gate: numbers(WIDTH * HIDDEN, 1, 0.5),
  value: numbers(WIDTH * HIDDEN, 8, 0.5),
  up: numbers(WIDTH * HIDDEN, 2, 0.5),
  down: numbers(WIDTH * HIDDEN, 3, 0.1),
};
const biases: Record<MatrixName, Float32Array> = {
  gate: numbers(WIDTH, 4, 4),
  value: numbers(WIDTH, 9, 4),
  up: numbers(WIDTH, 5, 8),
  down: numbers(HIDDEN, 6, 2),
};
const input = numbers(HIDDEN * TOKENS, 7, 1);

/** An expert in the host's memory, of float32 numbers or of arbitrary MXFP4 ones. */
function expertOf(spec: ExpertsSpec, type: Type): PlacedExpert {
  const context = new TensorContext(MATRICES.length + 1);
  contexts.push(context);
  const matrices = eachMatrix(spec.activation, (name) => {
    const [rows, columns] = matrixShape(spec, name);
    return { tensor: context.tensor(type, columns, rows) };
  });
  const vector = spec.biases && context.tensor(Type.F32, biasLayout(spec).size);
  cpu.allocate(context, 'an expert');
  for (const [name, { tensor }] of matrixEntries(matrices)) {
    const packed = Uint8Array.from({ length: tensor.bytes }, (_, i) => (i % 17 === 0 ? 122 : i * 89));
    api().tensorSet(tensor.pointer, type === Type.F32 ? weights[name] : packed, 0, tensor.bytes);
  }
  if (!vector) return matrices;
  const all = matrixEntries(matrices).flatMap(([name]) => [...biases[name]]);
  api().tensorSet(vector.pointer, Float32Array.from(all), 0, vector.bytes);
  return { ...matrices, biases: { tensor: vector } };
}

/** What an expert, or some of its inner rows, gives for the input. */
function run(device: Device, activation: ActivationName, expert: PlacedExpert, range?: RowRange): Float32Array {
  const context = new TensorContext(2);
  contexts.push(context);
  const x = context.tensor(Type.F32, HIDDEN, TOKENS);
  const y = context.tensor(Type.F32, HIDDEN, TOKENS);
  device.allocate(context, 'a test');
  api().tensorSet(x.pointer, input, 0, x.bytes);
  device.once(64, (g) => g.compute(g.copy(buildExpert(g, expert, activation, x, range), y)));
  return floats(y).slice();
}

const PARTS: RowRange[] = [
  { from: 0, to: 64 },
  { from: 64, to: 192 },
];
const sum = (parts: Float32Array[]) => parts[0]!.map((x, i) => x + parts[1]![i]!);

function expectClose(ours: Float32Array, expected: Float32Array): void {
  const largest = Math.max(...ours.map((x, i) => Math.abs(x - expected[i]!)));
  expect(largest).toBeLessThan(1e-4 * Math.max(...expected.map(Math.abs)));
}

/** One inner value, from what each matrix gives. */
const REFERENCE: Record<ActivationName, (inner: Record<InnerName, number>) => number> = {
  silu: ({ gate, up }) => (gate / (1 + Math.exp(-gate))) * up,
  'gelu-tanh': ({ gate, up }) =>
    0.5 * gate * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (gate + 0.044715 * gate ** 3))) * up,
  'swiglu-clamped': ({ gate, up }) => {
    const g = Math.min(7, gate);
    return (g / (1 + Math.exp(-1.702 * g))) * (Math.max(-7, Math.min(7, up)) + 1);
  },
  'silu-limited': ({ gate, up }) => {
    const g = Math.min(10, gate);
    return (g / (1 + Math.exp(-g))) * Math.max(-10, Math.min(10, up));
  },
  'swiglu-gated': ({ gate, value, up }) => (gate / (1 + Math.exp(-gate))) * value * up,
  relu: ({ up }) => Math.max(0, up),
  'relu-squared': ({ up }) => Math.max(0, up) ** 2,
};

/** The expert in float64, from the numbers above. */
function reference({ activation, biases: has }: ExpertsSpec): Float32Array {
  const result = new Float32Array(HIDDEN * TOKENS);
  const product = (name: MatrixName, row: number, columns: number, x: Float32Array, from = 0) => {
    let total = has ? biases[name][row]! : 0;
    for (let i = 0; i < columns; i++) total += weights[name][row * columns + i]! * x[from + i]!;
    return total;
  };
  for (let t = 0; t < TOKENS; t++) {
    const inner = Float32Array.from({ length: WIDTH }, (_, r) => {
      const of = (name: InnerName) => product(name, r, HIDDEN, input, t * HIDDEN);
      return REFERENCE[activation]({ gate: of('gate'), value: of('value'), up: of('up') });
    });
    for (let r = 0; r < HIDDEN; r++) result[t * HIDDEN + r] = product('down', r, WIDTH, inner);
  }
  return result;
}

const kinds = (Object.keys(ACTIVATIONS) as ActivationName[]).flatMap((name) => [
  { name, activation: name, biased: false },
  { name: `${name} with biases`, activation: name, biased: true },
]);

describe.each(kinds)('an expert: $name', ({ activation, biased }) => {
  const spec = specOf(activation, biased);

  it('is what its formula says', () => {
    expectClose(run(cpu, activation, expertOf(spec, Type.F32)), reference(spec));
  });

  it.each([['F32', Type.F32] as const, ['MXFP4', Type.MXFP4] as const])('is the sum of its parts: %s', (_, type) => {
    const expert = expertOf(spec, type);
    const whole = run(cpu, activation, expert);
    expectClose(sum(PARTS.map((range) => run(cpu, activation, expert, range))), whole);
    const slots = new StreamSlots(host, [spec], [uniformTypes(spec, type)], { count: 2, strided: true });
    const streamed = (range?: RowRange) => {
      const filled = slots.fill(0, [{ key: 0, source: expert, parts: sourceParts(expert), range }]);
      let result: Float32Array = new Float32Array();
      slots.compute(filled, () => {
        result = run(host, activation, filled[0]!.placed);
      });
      return result;
    };
    expectClose(streamed(), whole);
    expectClose(sum(PARTS.map(streamed)), whole);
  });

  it('takes the bytes of its matrices and biases', () => {
    const ungated = activation === 'relu' || activation === 'relu-squared';
    const inner = ungated ? 1 : activation === 'swiglu-gated' ? 3 : 2;
    const vectors = biased ? 4 * (inner * WIDTH + HIDDEN) : 0;
    expect(expertBytes(spec, uniformTypes(spec, Type.BF16))).toBe((inner + 1) * WIDTH * HIDDEN * 2 + vectors);
  });
});

it('is left to ggml where the native kernels lack its activation', () => {
  const computes = (spec: ExpertsSpec) => nativeComputes(spec, uniformTypes(spec, Type.BF16));
  expect(computes(specOf('swiglu-gated', false))).toBe(false);
  for (const known of ['silu', 'relu'] as const) expect(computes(specOf(known, false))).toBe(true);
});
