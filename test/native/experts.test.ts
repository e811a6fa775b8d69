import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  EXPERT_ACTIVATIONS,
  EXPERT_TYPES,
  type ExpertActivation,
  type ExpertType,
} from '../../src/native/expert-arguments.js';
import { type ExpertPool, loadExpertKernels } from '../../src/native/kernels.js';
import { type CaseOptions, type ExpertCase, expertCase, normalisedError, typesOf } from './expert-case.js';
import { blockOf } from './weights.js';

const kernels = loadExpertKernels();
const names = kernels ? [...kernels.available, 'amx-emulated'] : ['not built'];
const types = Object.keys(EXPERT_TYPES) as ExpertType[];
/** What limits gate and up has no meaning without a gate. */
const LIMITED: ReadonlySet<ExpertActivation> = new Set(['swiglu-clamped', 'silu-limited']);
/** Those that are not read in blocks of 8-bit integers' products. */
const steps = ['F32', 'F16', 'BF16', 'Q8_0'] as const;
const activations = Object.keys(EXPERT_ACTIVATIONS) as ExpertActivation[];

// Normalised squared errors: of sums in f32, and of operands rounded to bf16 (a relative error up to 2^-8, whose mean
// square is about 2.5e-6, for x at gate and at up, for the activations, and for the weights that are not bf16).
const F32_ERROR = 1e-11;
const BF16_ERROR = 3e-5;

// Of operands rounded to 8 bits with a scale for every 32: a 127th of the largest of 32 values, which is about twice their
// deviation, gives a mean square of 2e-5 for x at gate and at up; the activations' largest is 3 to 4 times theirs.
const INT8_ERROR = 3e-4;

/** No multiple of anything but the type's blocks. */
const odd = (type: ExpertType) => {
  const block = blockOf(type);
  return block === 1
    ? { hidden: 77, ff: 141 }
    : block > 64
      ? { hidden: 512, ff: 256 }
      : { hidden: 3 * block, ff: 5 * block };
};
const roundedError = (type: CaseOptions['type']) =>
  typesOf(type).some((t) => t !== 'Q8_0' && blockOf(t) > 1) ? INT8_ERROR : BF16_ERROR;

describe.skipIf(!kernels).each(names)('CPU expert kernel %s', (name) => {
  let pool: ExpertPool;
  beforeAll(() => {
    kernels!.select(name);
    pool = kernels!.pool(2);
  });
  afterAll(() => {
    pool.close();
    kernels!.select(null);
  });

  const expectRight = (test: ExpertCase, reference = test.reference()) => {
    for (const fullF32 of [true, false]) {
      pool.poison(0xff);
      const bound = fullF32 ? F32_ERROR : roundedError(test.options.type) + 2e-3 / test.hidden; // short sums do not average roundings out
      expect(normalisedError(test.run(pool, { fullF32 }), reference)).toBeLessThan(bound);
    }
  };

  it.each(types)('agrees with float64 for %s weights and 1 to 600 tokens', (type) => {
    const many = steps.some((t) => t === type) ? [2, 5, 9, 15, 16, 33, 64, 70, 600] : [6];
    for (const tokens of [1, 3, 8, 17, ...many]) expectRight(expertCase({ ...odd(type), type, tokens, seed: tokens }));
  });

  it.each(activations)('applies %s, gated and ungated, with and without biases', (activation) => {
    for (const tokens of [3, 20])
      for (const gated of LIMITED.has(activation) ? [true] : [true, false])
        for (const bias of [true, false])
          expectRight(expertCase({ hidden: 45, ff: 83, type: 'BF16', activation, gated, bias, tokens }));
  });

  it('crosses its own blocks: several stretches of k, panels and blocks of tokens', () => {
    for (const type of [...steps, 'Q4_K', 'MXFP4'] as const)
      for (const tokens of [1, 34]) {
        const sizes = blockOf(type) > 64 ? { hidden: 1280, ff: 768 } : { hidden: 1088, ff: 704 };
        expectRight(expertCase({ ...sizes, type, tokens }));
      }
  });

  it.each(['BF16', 'F16'] as const)('takes %s for hundreds of tokens, of a size that no block divides', (type) => {
    const test = expertCase({ hidden: 1077, ff: 544, type, tokens: 390 });
    pool.poison(0xff);
    expect(normalisedError(test.run(pool), test.reference())).toBeLessThan(BF16_ERROR);
  });

  it.each([
    ['Q4_K', 'Q4_K', 'Q6_K'],
    ['Q8_0', 'Q4_K', 'BF16'],
    ['BF16', 'IQ4_NL', 'MXFP4'],
    ['F32', 'Q5_1', 'F16'],
  ] as const)('takes %s for gate, %s for up and %s for down', (...type) => {
    for (const tokens of [1, 6, 30])
      for (const gated of [true, false]) {
        const activation = gated ? 'silu' : 'relu';
        expectRight(
          expertCase({ hidden: 512, ff: 512, type, tokens, gated, activation, bias: true, rows: [256, 512] }),
        );
      }
  });

  it.each(steps)('reads %s rows that are evenly spaced where they lie', (type) => {
    for (const tokens of [20, 30, 60, 100]) {
      const test = expertCase({ hidden: 1088, ff: 320, type, tokens, gap: 4 });
      pool.poison(0xff);
      expect(normalisedError(test.run(pool), test.reference())).toBeLessThan(BF16_ERROR);
    }
  });

  it.each(types)('computes rows a to b of %s, and parts add up to the whole', (type) => {
    const { hidden, ff } = blockOf(type) > 64 ? { hidden: 256, ff: 768 } : odd(type);
    const block = blockOf(type);
    const cuts = block === 1 ? [0, 3, 64, ff] : block > 64 ? [0, 256, 512, ff] : [0, block, 4 * block, ff];
    for (const tokens of [1, 30]) {
      const options: CaseOptions = { hidden, ff, type, tokens, bias: true };
      expectRight(expertCase({ ...options, rows: [cuts[1]!, cuts[2]!] }));
      const whole = expertCase(options);
      const y = new Float32Array(tokens * hidden);
      for (let i = 0; i + 1 < cuts.length; i++) {
        const rows: [number, number] = [cuts[i]!, cuts[i + 1]!];
        const part = whole.run(pool, { rows, fullF32: true, before: 0, downBias: i === 0 });
        part.forEach((v, j) => {
          y[j]! += v;
        });
      }
      expect(normalisedError(y, whole.reference(), 0)).toBeLessThan(F32_ERROR);
    }
  });

  it('lets experts share tokens, with few and many each, and touches no other token', () => {
    const many = Array.from({ length: 30 }, (_, i) => 37 - i);
    const routes = [[3], many, [], [3, 5, 3], [20, 3, 21]];
    const test = expertCase({ hidden: 77, ff: 50, type: 'BF16', tokens: 40, routes, bias: true });
    expectRight(test);
    const y = test.run(pool);
    for (const token of [0, 1, 2, 4, 6, 7, 38, 39])
      expect(y.subarray(token * 77, (token + 1) * 77)).toEqual(new Float32Array(77).fill(0.25));
  });

  it('overwrites y where it is told to, also where no expert adds anything', () => {
    const routes = [[3], Array.from({ length: 20 }, (_, i) => 39 - i)];
    for (const served of [routes, [[7]], [[]], []]) {
      const test = expertCase({ hidden: 77, ff: 50, type: 'BF16', tokens: 40, routes: served });
      const added = test.run(pool, { before: 0 });
      expect(test.run(pool, { before: Number.NaN, overwrite: true })).toEqual(added);
    }
  });

  it('gives the same bits again, with other numbers of threads, and on any nodes', () => {
    const routes = [[0, 1, 2], [2, 1], Array.from({ length: 20 }, (_, i) => i)];
    const test = expertCase({ hidden: 130, ff: 200, type: 'BF16', tokens: 20, routes });
    const first = test.run(pool);
    for (const threads of [1, 2, 5]) {
      const other = kernels!.pool(threads);
      for (let i = 0; i < 3; i++) expect(test.run(other)).toEqual(first);
      other.close();
    }
    for (const nodes of [
      [0, 1],
      [2, 0, 2],
      [1, 1, 0, 3],
    ]) {
      const other = kernels!.pool(nodes.length, undefined, nodes);
      for (let i = 0; i < 3; i++) expect(test.run(other)).toEqual(first);
      other.close();
    }
  });

  it('holds for any shape', () => {
    const shape = fc.record({
      blocks: fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 4 })),
      hidden: fc.integer({ min: 1, max: 150 }),
      ff: fc.integer({ min: 1, max: 150 }),
      tokens: fc.integer({ min: 1, max: 40 }),
      type: fc.constantFrom(...types),
      seed: fc.integer({ min: 1, max: 1e6 }),
    });
    fc.assert(
      fc.property(shape, ({ blocks, hidden, ff, ...rest }) => {
        const block = blockOf(rest.type);
        const sizes = block > 1 ? { hidden: block * blocks[0], ff: block * blocks[1] } : { hidden, ff };
        expectRight(expertCase({ ...sizes, ...rest }));
      }),
      { numRuns: 25, seed: 7 },
    );
  });
});
