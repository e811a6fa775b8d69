import { afterAll, beforeAll, expect, it } from 'vitest';
import { Machine } from '../../src/loading/machine.js';
import type { Graph } from '../../src/native/ggml/graph.js';
import { type Tensor, TensorContext, Type } from '../../src/native/ggml/tensor.js';
import { Resources } from '../../src/native/resources.js';

const resources = new Resources();
let machine: Machine;
let numbers: Tensor;
beforeAll(() => {
  resources.during(() => {
    machine = new Machine('none', { threads: 1 });
    const context = new TensorContext(1);
    numbers = context.tensor(Type.F32, 1 << 16);
    machine.cpu.allocate(context, 'a test').clear();
  });
});
afterAll(() => resources.free());

it('a device tells when a graph took more memory than there was, so that those before it have lost theirs', () => {
  const { cpu } = machine;
  const twice = (count: number) => (g: Graph) => g.compute(g.scale(g.contiguous(g.slice(numbers, 0, count)), 2));
  cpu.reserve(8, twice(256));
  const { moves } = cpu;
  for (const count of [1, 256, 16]) cpu.graph(8, twice(count)).free();
  expect(cpu.moves).toBe(moves);
  cpu.graph(8, twice(1 << 15)).free();
  expect(cpu.moves).toBe(moves + 1);
  for (const count of [256, 1 << 15]) cpu.graph(8, twice(count)).free();
  expect(cpu.moves).toBe(moves + 1);
});
