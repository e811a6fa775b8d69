import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Adjusting, Adjustments } from '../../src/sampling/adjustments.js';
import { createSampler } from '../../src/sampling/sampling.js';

const NONE: Adjusting = { repetitionPenalty: 1, presencePenalty: 0, frequencyPenalty: 0, logitBias: {} };
const SIZE = 8;
const id = fc.integer({ min: 0, max: SIZE - 1 });
const number = (min: number, max: number) => fc.integer({ min: min * 100, max: max * 100 }).map((n) => n / 100);
const adjusting = fc.record({
  repetitionPenalty: number(0.5, 2),
  presencePenalty: number(-2, 2),
  frequencyPenalty: number(-2, 2),
  logitBias: fc.dictionary(id.map(String), number(-100, 100)),
});
const logits = fc.array(number(-20, 20), { minLength: SIZE, maxLength: SIZE });

describe('Adjustments', () => {
  it('do for each token what the formulas of both APIs say', () => {
    fc.assert(
      fc.property(adjusting, logits, fc.array(id), fc.array(id), (options, values, prompt, chosen) => {
        const adjustments = new Adjustments(options);
        for (const token of chosen) adjustments.note(token);
        const given = Float32Array.from(values);
        const found = adjustments.apply(given, [...prompt, ...chosen]);
        expect([...given]).toEqual([...Float32Array.from(values)]);
        for (const [token, value] of given.entries()) {
          const biased = value + (options.logitBias[token] ?? 0);
          const seen = [...prompt, ...chosen].includes(token);
          const factor = seen ? options.repetitionPenalty : 1;
          const count = chosen.filter((other) => other === token).length;
          const less = Number(count > 0) * options.presencePenalty + count * options.frequencyPenalty;
          const expected = (biased > 0 ? biased / factor : biased * factor) - less;
          expect(Math.abs(found[token]! - expected)).toBeLessThan(1e-3);
        }
      }),
    );
  });

  it('leave logits that nothing changes as they are', () => {
    const given = Float32Array.of(1, 2, 3);
    expect(new Adjustments(NONE).apply(given, [1])).toBe(given);
  });

  it('pass over ids beyond the vocabulary', () => {
    expect([...new Adjustments({ ...NONE, logitBias: { 9: 5 } }).apply(Float32Array.of(1, 2), [])]).toEqual([1, 2]);
  });
});

describe('a sampler', () => {
  const values = Float32Array.of(3, 2.5, 0);

  it('counts what it chose, not what was in the prompt', () => {
    const sampler = createSampler({ temperature: 0, frequencyPenalty: 1 });
    expect([0, 1, 2, 3].map(() => sampler.sample(values, [0, 1, 2]))).toEqual([0, 1, 0, 1]);
    const present = createSampler({ temperature: 0, presencePenalty: 1 });
    expect([0, 1, 2].map(() => present.sample(values, [2]))).toEqual([0, 1, 0]);
  });

  it('never takes a token of bias -100, and takes one of bias 100', () => {
    for (let seed = 0; seed < 50; seed++) {
      const never = createSampler({ temperature: 2, topP: 1, seed, logitBias: { 0: -100 } });
      expect(never.sample(values, [])).not.toBe(0);
      expect(createSampler({ temperature: 1, topP: 1, seed, logitBias: { 2: 100 } }).sample(values, [])).toBe(2);
    }
  });
});
