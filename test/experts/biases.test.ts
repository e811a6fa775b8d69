import { afterAll, describe, expect, it } from 'vitest';
import { acceleratorKind, openAccelerator, openCpu } from '../../src/devices/accelerators.js';
import { type Device, floats } from '../../src/devices/device.js';
import { buildExpert, type PlacedExpert, type RowRange } from '../../src/experts/expert.js';
import { StreamSlots } from '../../src/experts/lanes/slots.js';
import { type ExpertsSpec, matrixShape } from '../../src/experts/spec.js';
import { each } from '../../src/experts/stored.js';
import { api } from '../../src/ggml/api.js';
import { type Tensor, TensorContext, Type } from '../../src/ggml/tensor.js';

const HIDDEN = 32;
const WIDTH = 192;
const TOKENS = 3;
const none = { name: '' };
const spec: ExpertsSpec = {
  count: 1,
  chosen: 1,
  hidden: HIDDEN,
  width: WIDTH,
  activation: 'swiglu-clamped',
  matrices: () => ({ gate: none, up: none, down: none }),
  biases: () => ({ gate: none, up: none, down: none }),
};
const numbers = (count: number, seed: number, factor: number) =>
  Float32Array.from({ length: count }, (_, i) => factor * Math.sin((i + 1) * 12.9898 * seed));

const cpu = openCpu();
const host = openAccelerator(acceleratorKind('host'), cpu);
const contexts: TensorContext[] = [];
afterAll(() => {
  host.free();
  cpu.free();
  for (const context of contexts) context.free();
});

const weights = {
  gate: numbers(WIDTH * HIDDEN, 1, 0.5),
  up: numbers(WIDTH * HIDDEN, 2, 0.5),
  down: numbers(WIDTH * HIDDEN, 3, 0.1),
};
const biases = { gate: numbers(WIDTH, 4, 4), up: numbers(WIDTH, 5, 8), down: numbers(HIDDEN, 6, 2) };
const input = numbers(HIDDEN * TOKENS, 7, 1);

/** An expert in the host's memory, of float32 numbers or of arbitrary MXFP4 ones. */
function expertOf(type: Type): PlacedExpert {
  const context = new TensorContext(4);
  contexts.push(context);
  const matrices = each((name) => {
    const [rows, columns] = matrixShape(spec, name);
    return { tensor: context.tensor(type, columns, rows) };
  });
  const vector = context.tensor(Type.F32, 2 * WIDTH + HIDDEN);
  cpu.allocate(context, 'an expert');
  for (const name of ['gate', 'up', 'down'] as const) {
    const { tensor } = matrices[name];
    const packed = Uint8Array.from({ length: tensor.bytes }, (_, i) => (i % 17 === 0 ? 122 : i * 89));
    api().tensorSet(tensor.pointer, type === Type.F32 ? weights[name] : packed, 0, tensor.bytes);
  }
  api().tensorSet(vector.pointer, Float32Array.of(...biases.gate, ...biases.up, ...biases.down), 0, vector.bytes);
  return { ...matrices, biases: { tensor: vector } };
}

/** What an expert, or some of its inner rows, gives for the input. */
function run(device: Device, expert: PlacedExpert, range?: RowRange): Float32Array {
  const context = new TensorContext(2);
  contexts.push(context);
  const x = context.tensor(Type.F32, HIDDEN, TOKENS);
  const y = context.tensor(Type.F32, HIDDEN, TOKENS);
  device.allocate(context, 'a test');
  api().tensorSet(x.pointer, input, 0, x.bytes);
  device.once(64, (g) => g.compute(g.copy(buildExpert(g, expert, spec.activation, x, range), y as Tensor)));
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

describe('an expert with biases', () => {
  it('adds each, and clamps as gpt-oss does', () => {
    const dot = (w: Float32Array, row: number, size: number, x: Float32Array, from: number) => {
      let total = 0;
      for (let i = 0; i < size; i++) total += w[row * size + i]! * x[from + i]!;
      return total;
    };
    const expected = new Float32Array(HIDDEN * TOKENS);
    for (let t = 0; t < TOKENS; t++) {
      const inner = Float32Array.from({ length: WIDTH }, (_, r) => {
        const gate = Math.min(7, dot(weights.gate, r, HIDDEN, input, t * HIDDEN) + biases.gate[r]!);
        const up = Math.max(-7, Math.min(7, dot(weights.up, r, HIDDEN, input, t * HIDDEN) + biases.up[r]!));
        return (gate / (1 + Math.exp(-1.702 * gate))) * (up + 1);
      });
      for (let r = 0; r < HIDDEN; r++)
        expected[t * HIDDEN + r] = dot(weights.down, r, WIDTH, inner, 0) + biases.down[r]!;
    }
    expectClose(run(cpu, expertOf(Type.F32)), expected);
  });

  it.each([['F32', Type.F32] as const, ['MXFP4', Type.MXFP4] as const])('is the sum of its parts: %s', (_, type) => {
    const expert = expertOf(type);
    const whole = run(cpu, expert);
    expectClose(sum(PARTS.map((range) => run(cpu, expert, range))), whole);
    const slots = new StreamSlots(host, spec, type, 2);
    const streamed = (range?: RowRange) => {
      let result: Float32Array = new Float32Array();
      slots.run({ key: 0, source: expert, range }, (copied) => {
        result = run(host, copied);
      });
      return result;
    };
    expectClose(streamed(), whole);
    expectClose(sum(PARTS.map(streamed)), whole);
    slots.free();
  });
});
