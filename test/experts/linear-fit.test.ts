import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LinearFit } from '../../src/experts/linear-fit.js';

const factor = fc.double({ min: 0.3, max: 2, noNaN: true });
const CALL = 0.15;
const EACH = 0.02;

describe('how far measured costs are off', () => {
  it('is told apart for a call and for its work, where calls differ', () => {
    fc.assert(
      fc.property(factor, factor, (call, work) => {
        const fit = new LinearFit();
        let found = { call: 1, work: 1 };
        for (let i = 0; i < 400; i++) {
          const expected = { call: CALL, work: EACH * (1 + (i % 8)) };
          found = fit.observe(expected, call * expected.call + work * expected.work);
        }
        expect(Math.abs(found.call - call)).toBeLessThan(0.1);
        expect(Math.abs(found.work - work)).toBeLessThan(0.2);
      }),
    );
  });

  it('is right in sum, where all calls are alike', () => {
    fc.assert(
      fc.property(factor, (off) => {
        const fit = new LinearFit();
        let found = { call: 1, work: 1 };
        for (let i = 0; i < 300; i++) found = fit.observe({ call: CALL, work: 4 * EACH }, off * (CALL + 4 * EACH));
        const { call, work } = found;
        expect((call * CALL + work * 4 * EACH) / (CALL + 4 * EACH)).toBeCloseTo(off, 1);
      }),
    );
  });

  it('is hardly believed because of the first call, or of one that met something else', () => {
    expect(new LinearFit().observe({ call: CALL, work: EACH }, 2 * (CALL + EACH)).call).toBeLessThan(1.2);
    const fit = new LinearFit();
    for (let i = 0; i < 100; i++) fit.observe({ call: CALL, work: EACH * (1 + (i % 8)) }, CALL + EACH * (1 + (i % 8)));
    expect(fit.observe({ call: CALL, work: EACH }, 100).call).toBeLessThan(1.3);
  });

  it('is nothing where nothing costs anything', () => {
    expect(new LinearFit().observe({ call: 0, work: 0 }, 3)).toEqual({ call: 1, work: 1 });
  });
});
