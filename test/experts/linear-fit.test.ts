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
        for (let i = 0; i < 400; i++) {
          const expected = { call: CALL, work: EACH * (1 + (i % 8)) };
          fit.observe(expected, call * expected.call + work * expected.work);
        }
        expect(Math.abs(fit.factors.call - call)).toBeLessThan(0.1);
        expect(Math.abs(fit.factors.work - work)).toBeLessThan(0.2);
      }),
    );
  });

  it('is right in sum, where all calls are alike', () => {
    fc.assert(
      fc.property(factor, (off) => {
        const fit = new LinearFit();
        for (let i = 0; i < 200; i++) fit.observe({ call: CALL, work: 4 * EACH }, off * (CALL + 4 * EACH));
        const { call, work } = fit.factors;
        expect((call * CALL + work * 4 * EACH) / (CALL + 4 * EACH)).toBeCloseTo(off, 1);
      }),
    );
  });

  it('is not believed because of one call that met something else', () => {
    const fit = new LinearFit();
    for (let i = 0; i < 100; i++) fit.observe({ call: CALL, work: EACH * (1 + (i % 8)) }, CALL + EACH * (1 + (i % 8)));
    fit.observe({ call: CALL, work: EACH }, 100);
    expect(fit.factors.call).toBeLessThan(1.3);
  });

  it('is nothing where nothing was seen, or costs nothing', () => {
    const fit = new LinearFit();
    expect(fit.factors).toEqual({ call: 1, work: 1 });
    fit.observe({ call: 0, work: 0 }, 3);
    expect(fit.factors).toEqual({ call: 1, work: 1 });
  });
});
