import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { softmaxOverChosen, topK } from '../../src/models/router.js';

const logits = fc
  .array(fc.float({ min: -30, max: 30, noNaN: true }), { minLength: 1, maxLength: 64 })
  .map((values) => Float32Array.from(values));
/** Few different values, so that many are equal. */
const tied = fc
  .array(fc.integer({ min: -2, max: 2 }), { minLength: 1, maxLength: 64 })
  .map((v) => Float32Array.from(v));
const cases = fc
  .oneof(logits, tied)
  .chain((values) => fc.record({ values: fc.constant(values), k: fc.integer({ min: 1, max: values.length }) }));

/** All indices sorted by value; a stable sort keeps the lower index first. */
function sorted(values: Float32Array): number[] {
  return [...values.keys()].sort((a, b) => values[b]! - values[a]!);
}

describe('the k largest', () => {
  it('are the first of all sorted', () => {
    fc.assert(
      fc.property(cases, ({ values, k }) => {
        const ids = new Int32Array(k).fill(-1);
        topK(values, ids);
        expect([...ids]).toEqual(sorted(values).slice(0, k));
      }),
    );
  });
});

describe('softmax over the chosen', () => {
  it('equals softmax over all, then the k largest, then division by their sum', () => {
    fc.assert(
      fc.property(cases, ({ values, k }) => {
        const [ids, weights] = [new Int32Array(k), new Float32Array(k)];
        const before = values.slice();
        softmaxOverChosen(k).choose(values, ids, weights);
        const best = Math.max(...values);
        const all = [...values].map((x) => Math.exp(x - best));
        const top = sorted(values).slice(0, k);
        const sum = top.reduce((total, i) => total + all[i]!, 0);
        expect([...ids]).toEqual(top);
        top.forEach((i, at) => {
          expect(weights[at]).toBeCloseTo(all[i]! / sum, 6);
        });
        expect(values).toEqual(before);
      }),
    );
  });
});
