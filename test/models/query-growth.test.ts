import { afterAll, beforeAll, expect, it } from 'vitest';
import { floats, integers } from '../../src/devices/device.js';
import { Machine } from '../../src/loading/machine.js';
import { placeConstants } from '../../src/loading/vectors.js';
import { queryGrowth } from '../../src/models/blocks/query-growth.js';
import type { Step } from '../../src/models/model.js';
import { Declarations } from '../../src/models/parameters.js';
import { TensorContext, Type } from '../../src/native/ggml/tensor.js';
import { Resources } from '../../src/native/resources.js';

const resources = new Resources();
let machine: Machine;
beforeAll(() => {
  machine = resources.during(() => new Machine('none', { threads: 1 }));
});
afterAll(() => resources.free());

it('queries grow by the logarithm of the original contexts before them', () =>
  resources.during(() => {
    const { cpu } = machine;
    const declare = new Declarations();
    const grow = queryGrowth(declare, 64, { beta: 0.1, original: 8 });
    const [size, heads, at] = [3, 2, [0, 7, 8, 40, 63]];
    const context = new TensorContext(3);
    const x = context.tensor(Type.F32, size, heads, at.length);
    const result = context.tensor(Type.F32, size, heads, at.length);
    const positions = context.tensor(Type.I32, at.length);
    cpu.allocate(context, 'a test').clear();
    placeConstants(cpu, declare.constants);
    integers(positions).set(at);
    floats(x).set(Array.from({ length: size * heads * at.length }, (_, i) => i + 1));
    cpu.once(16, (g) => {
      g.compute(g.copy(grow(g, x, { positions, tokens: at.length } as Step), result));
    });
    const factor = (i: number) => 1 + 0.1 * Math.log(1 + Math.floor(at[Math.floor(i / (size * heads))]! / 8));
    for (const [i, value] of floats(result).entries()) expect(value / (i + 1)).toBeCloseTo(factor(i), 5);
  }));
