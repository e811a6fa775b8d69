import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { floats, HostMemory } from '../../src/devices/device.js';
import { StepInputs } from '../../src/engine/inputs.js';
import { Machine } from '../../src/engine/machine.js';
import { Constants } from '../../src/engine/vectors.js';
import { TensorContext, Type } from '../../src/ggml/tensor.js';
import { type GroupedQueryOptions, groupedQueryAttention } from '../../src/models/blocks/attention.js';
import { rotary } from '../../src/models/blocks/rotary.js';
import { Declarations, type RelativeBias } from '../../src/models/parameters.js';
import type { Rotation } from '../../src/models/rope.js';
import { naiveAttention, type Rows } from './naive-attention.js';

type Options = Omit<GroupedQueryOptions, 'rotate'>;

const [HIDDEN, ROWS] = [32, 256];
let machine: Machine;
beforeAll(() => {
  machine = new Machine('none', { threads: 1 });
});
afterAll(() => machine?.free());

/** Numbers between −1 and 1 that a seed decides. */
function numbers(seed: number): () => number {
  let state = seed + 1;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
}

const rowsOf = (count: number, width: number, next: () => number): number[][] =>
  Array.from({ length: count }, () => Array.from({ length: width }, () => Math.fround(next())));

/** The block's graph over `x`, in two calls of which the second reads the first's keys and values from the cache. */
function attention(options: Options, rotation: Rotation, x: Rows, extended: boolean, seed: number) {
  const { cpu } = machine;
  const declare = new Declarations();
  const block = groupedQueryAttention(declare, 'a', { ...options, rotate: rotary(declare, rotation) });
  const next = numbers(seed);
  const context = new TensorContext(declare.parameters.length + 4);
  const weights = new Map<string, number[][]>();
  for (const parameter of declare.parameters) {
    const [columns, rows = 1] = [...parameter.shape].reverse() as [number, number?];
    weights.set(parameter.name, rowsOf(rows, columns, next));
    parameter.tensor = context.tensor(Type.F32, columns, rows);
  }
  for (const cache of declare.caches) cache.tensor = context.tensor(Type.F32, cache.width, ROWS);
  const input = context.tensor(Type.F32, HIDDEN, x.length);
  const output = context.tensor(Type.F32, HIDDEN, x.length);
  cpu.allocate(context, 'a test').clear();
  for (const { name, tensor } of declare.parameters) floats(tensor).set(weights.get(name)!.flat());
  floats(input).set(x.flat());
  const constants = new Constants(cpu, declare.constants);
  const sizes = { chunk: x.length, context: ROWS, windows: [...declare.windows] };
  const inputs = new StepInputs(cpu, sizes, new HostMemory(cpu.bufferType));
  const half = Math.ceil(x.length / 2);
  for (const [from, tokens] of [
    [0, half],
    [half, x.length - half],
  ] as const) {
    if (tokens === 0) continue;
    inputs.send(from, tokens, ROWS);
    cpu.once(128, (g) => {
      const step = {
        tokens,
        cacheRows: ROWS,
        extended,
        positions: inputs.positionsOf(g, tokens),
        mask: (window?: number) => inputs.maskOf(g, ROWS, tokens, window),
        biasedMask: (bias: RelativeBias) => inputs.biasedMaskOf(g, ROWS, tokens, bias),
        supports: () => seed % 2 === 0,
      };
      g.compute(g.copy(block(g, g.rows(input, from, tokens), step), g.rows(output, from, tokens)));
    });
  }
  const result = [...floats(output)];
  inputs.free();
  constants.free();
  context.free();
  return { result, weights };
}

const options = fc.record({
  hidden: fc.constant(HIDDEN),
  heads: fc.constantFrom(2, 4),
  kvHeads: fc.constantFrom(1, 2),
  headSize: fc.constantFrom(8, 16),
  bias: fc.boolean(),
  outputBias: fc.boolean(),
  norm: fc.constantFrom(undefined, { over: 'head', epsilon: 1e-5 } as const, { over: 'width', epsilon: 1e-6 } as const),
  clip: fc.constantFrom(undefined, 0.7),
  scale: fc.constantFrom(undefined, 1, 0.1),
  outputScale: fc.constantFrom(undefined, 0.22),
  window: fc.constantFrom(undefined, 1, 3),
  sinks: fc.boolean(),
});

const rotations = fc.constantFrom<Rotation>(
  { dimensions: 8, interleaved: false, base: 1e4, magnitude: 1 },
  { dimensions: 8, interleaved: true, base: 100, magnitude: 1.3, divisors: Float32Array.of(1, 1.5, 3, 4) },
  {
    dimensions: 4,
    interleaved: false,
    base: 1e4,
    magnitude: 1,
    divisors: Float32Array.of(1, 2),
    extended: { beyond: 4, divisors: Float32Array.of(3, 5), magnitude: 1.2 },
  },
);

describe('grouped-query attention', () => {
  it('agrees with a naive computation, whatever its options', () => {
    fc.assert(
      fc.property(options, rotations, fc.integer({ min: 1, max: 9 }), fc.nat(1e6), (o, rotation, tokens, seed) => {
        const x = rowsOf(tokens, HIDDEN, numbers(seed + 1));
        const extended = rotation.extended !== undefined && seed % 3 === 0;
        const { result, weights } = attention(o, rotation, x, extended, seed);
        const expected = naiveAttention(o, rotation, weights, x, extended).flat();
        const largest = Math.max(...result.map((v, i) => Math.abs(v - expected[i]!)));
        expect(largest).toBeLessThan(1e-3);
      }),
      { numRuns: 200 },
    );
  });
});
