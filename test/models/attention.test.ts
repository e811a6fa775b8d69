import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { floats, HostMemory } from '../../src/devices/device.js';
import { JOINED_TENSORS, joinProjections } from '../../src/loading/joining.js';
import { Machine } from '../../src/loading/machine.js';
import { placeConstants } from '../../src/loading/vectors.js';
import { type GroupedQueryOptions, groupedQueryAttention } from '../../src/models/blocks/attention.js';
import { rotary } from '../../src/models/blocks/rotary.js';
import { Declarations } from '../../src/models/parameters.js';
import type { Rotation } from '../../src/models/rope.js';
import { TensorContext, Type } from '../../src/native/ggml/tensor.js';
import { Resources } from '../../src/native/resources.js';
import { groupsOf, type Part } from '../../src/network/batch.js';
import { StepInputs } from '../../src/network/inputs.js';
import { readRows } from '../../src/network/ring.js';
import { stepOf } from '../../src/network/step.js';
import { numbersFrom } from '../support/numbers.js';
import { naiveAttention, type Rows } from './naive-attention.js';

type Options = Omit<GroupedQueryOptions, 'rotate'>;

const [HIDDEN, CONTEXT, SLOTS] = [32, 256, 4];
/** Rows of the KV cache are read in steps of this. */
const STEP = 4;
const resources = new Resources();
let machine: Machine;
beforeAll(() => {
  machine = resources.during(() => new Machine('none', { threads: 1 }));
});
afterAll(() => resources.free());

/** Numbers between −1 and 1 that a seed decides. */
function numbers(seed: number): () => number {
  const next = numbersFrom(seed + 1);
  return () => 2 * next() - 1;
}

const rowsOf = (count: number, width: number, next: () => number): number[][] =>
  Array.from({ length: count }, () => Array.from({ length: width }, () => Math.fround(next())));

/** A sequence's tokens, how many of them it has in a call at most, and the extent of the KV cache that it has. */
interface Placed {
  x: Rows;
  piece: number;
  slot: number;
}

/** The block's graph over sequences, in calls that read the keys and values of those before them from the cache. */
function attention(
  options: Options,
  rotation: Rotation | undefined,
  placed: readonly Placed[],
  extended: boolean,
  seed: number,
) {
  const { cpu } = machine;
  const declare = new Declarations();
  const block = groupedQueryAttention(declare, 'a', {
    ...options,
    rotate: rotation && rotary(declare, rotation),
  });
  const next = numbers(seed);
  const context = new TensorContext(declare.parameters.length + JOINED_TENSORS * declare.joined.length + 4);
  // All projections that can be are one product, or all but the values', or none.
  const joins = [/proj/, /[qk]_proj/, /^$/][seed % 3]!;
  const types = new Map(declare.parameters.filter(({ name }) => joins.test(name)).map((p) => [p, Type.F32]));
  const joined = joinProjections(context, declare.joined, types, 1);
  const weights = new Map<string, number[][]>();
  for (const parameter of declare.parameters) {
    const [columns, rows = 1] = [...parameter.shape].reverse() as [number, number?];
    weights.set(parameter.name, rowsOf(rows, columns, next));
    if (!joined.has(parameter)) parameter.tensor = context.tensor(Type.F32, columns, rows);
  }
  const [window = 0] = [...declare.windows];
  const chunk = Math.max(...placed.map(({ piece }) => piece));
  const kept = window > 0 ? STEP * Math.ceil((window - 1 + chunk + (seed % 5)) / STEP) : CONTEXT;
  for (const cache of declare.caches) {
    cache.rows = kept;
    cache.tensor = context.tensor(Type.F32, cache.width, SLOTS * kept);
  }
  const calls = placed.reduce((sum, { piece }) => sum + piece, 0);
  const input = context.tensor(Type.F32, HIDDEN, calls);
  const output = context.tensor(Type.F32, HIDDEN, calls);
  cpu.allocate(context, 'a test').clear();
  for (const { name, tensor } of declare.parameters) floats(tensor).set(weights.get(name)!.flat());
  placeConstants(cpu, declare.constants);
  const inputs = new StepInputs(
    cpu,
    {
      calls,
      context: CONTEXT,
      sequences: placed.length,
      windows: new Map([[window, kept]]),
      masked: new Set([window]),
    },
    new HostMemory(cpu.bufferType),
  );
  const results = placed.map((): number[] => []);
  const call = (n: number) => {
    const parts = placed.flatMap(({ x, piece, slot }, i) => {
      const rows = x.slice(n * piece, (n + 1) * piece);
      return rows.length > 0 ? [{ i, rows, slot, past: n * piece }] : [];
    });
    const batch = parts.map(({ rows, ...part }) => ({ ...part, tokens: rows.map(() => 0), source: 0, extended }));
    const reads = (part: Part) => new Map([0, window].map((w) => [w, readRows(part, w, w > 0 ? kept : CONTEXT, STEP)]));
    const groups = groupsOf(batch, reads, () => 0);
    const rows = parts.flatMap((part) => part.rows);
    floats(input).set(rows.flat());
    inputs.send(batch, groups);
    cpu.once(128 * SLOTS, (g) => {
      const step = stepOf(g, { tokens: rows.length, groups, extended }, inputs, {
        supports: () => seed % 2 === 0,
        alignment: 1,
      });
      g.compute(g.copy(block(g, g.rows(input, 0, rows.length), step), g.rows(output, 0, rows.length)));
    });
    let from = 0;
    for (const part of parts) {
      const to = from + part.rows.length * HIDDEN;
      results[part.i]!.push(...floats(output).subarray(from, to));
      from = to;
    }
  };
  const most = Math.max(...placed.map(({ x, piece }) => Math.ceil(x.length / piece)));
  for (let n = 0; n < most; n++) call(n);
  return { results, weights };
}

const options = fc.record({
  hidden: fc.constant(HIDDEN),
  heads: fc.constantFrom(2, 4),
  kvHeads: fc.constantFrom(1, 2),
  headSize: fc.constantFrom(8, 16),
  bias: fc.boolean(),
  outputBias: fc.boolean(),
  valueSize: fc.constantFrom(undefined, 4, 12),
  valueScale: fc.constantFrom(undefined, 0.7),
  valueNorm: fc.constantFrom(undefined, { epsilon: 1e-5 }),
  norm: fc.constantFrom(
    undefined,
    { over: 'head', epsilon: 1e-5 } as const,
    { over: 'head', epsilon: 1e-5, rotated: true } as const,
    { over: 'width', epsilon: 1e-6 } as const,
  ),
  outputGate: fc.constantFrom(
    undefined,
    { name: 'g_proj', per: 'head', by: 'softplus' } as const,
    { name: 'g_proj', per: 'element', by: 'sigmoid' } as const,
  ),
  clip: fc.constantFrom(undefined, 0.7),
  scale: fc.constantFrom(undefined, 1, 0.1),
  outputScale: fc.constantFrom(undefined, 0.22),
  window: fc.constantFrom(undefined, 1, 3, 8),
  sinks: fc.constantFrom(undefined, 'sinks'),
});

const rotations = fc.constantFrom<Rotation | undefined>(
  undefined,
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

const lengths = fc
  .array(fc.option(fc.tuple(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 9 }))), {
    minLength: 1,
    maxLength: SLOTS,
  })
  .filter((all) => all.some((n) => n !== null));

describe('grouped-query attention', () => {
  it('agrees with a naive computation of each sequence, whatever its options and the others in a call', () => {
    fc.assert(
      fc.property(options, rotations, lengths, fc.nat(1e6), (o, rotation, tokens, seed) => {
        const placed = tokens.flatMap((of, slot) =>
          of ? [{ slot, piece: of[1], x: rowsOf(of[0], HIDDEN, numbers(seed + 1 + slot)) }] : [],
        );
        const extended = rotation?.extended !== undefined && seed % 3 === 0;
        const { results, weights } = attention(o, rotation, placed, extended, seed);
        for (const [i, { x }] of placed.entries()) {
          const expected = naiveAttention(o, rotation, weights, x, extended).flat();
          expect(results[i]).toHaveLength(expected.length);
          expect(Math.max(...results[i]!.map((v, j) => Math.abs(v - expected[j]!)))).toBeLessThan(1e-3);
        }
      }),
      { numRuns: 200 },
    );
  });
});
