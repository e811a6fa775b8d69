import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Bounds, type Demand, schedule } from '../../src/engine/schedule.js';

/** As the engine has them: a call holds a chunk of one sequence and a token of each other. */
const cases = fc
  .record({
    chunk: fc.integer({ min: 1, max: 64 }),
    beside: fc.integer({ min: 1, max: 64 }),
    sequences: fc.integer({ min: 1, max: 9 }),
    whole: fc.boolean(),
  })
  .chain(({ chunk, beside, sequences, whole }) => {
    const pending = fc.oneof(fc.constant(1), fc.integer({ min: 2, max: whole ? chunk + 1 : 200 }));
    return fc.record({
      bounds: fc.constant<Bounds>({ chunk, calls: chunk + sequences - 1, beside: Math.min(beside, chunk) }),
      demands: fc.array(
        pending.map((n): Demand => ({ pending: whole ? Math.min(n, chunk) : n, whole })),
        { minLength: 1, maxLength: sequences },
      ),
    });
  });

const decodes = ({ pending }: Demand) => pending === 1;
const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0);

describe('the tokens of a call', () => {
  it('fit into it, and are such as their sequences have', () => {
    fc.assert(
      fc.property(cases, ({ demands, bounds }) => {
        const tokens = schedule(demands, bounds);
        expect(sum(tokens)).toBeLessThanOrEqual(bounds.calls);
        for (const [i, { pending, whole }] of demands.entries()) {
          expect(tokens[i]).toBeLessThanOrEqual(Math.min(pending, bounds.chunk));
          if (whole) expect([0, pending]).toContain(tokens[i]);
        }
      }),
    );
  });

  it('are one of each sequence that decodes, in every call', () => {
    fc.assert(
      fc.property(cases, ({ demands, bounds }) => {
        const tokens = schedule(demands, bounds);
        for (const [i, demand] of demands.entries()) if (decodes(demand)) expect(tokens[i]).toBe(1);
      }),
    );
  });

  it('are few of prompts while others decode, but for what cannot be divided', () => {
    fc.assert(
      fc.property(cases, ({ demands, bounds }) => {
        fc.pre(demands.some(decodes));
        const tokens = schedule(demands, bounds);
        const prompts = demands.flatMap((demand, i) => (decodes(demand) || tokens[i] === 0 ? [] : [i]));
        const taken = sum(prompts.map((i) => tokens[i]!));
        if (taken > bounds.beside) expect(prompts.map((i) => demands[i]!.whole)).toEqual([true]);
      }),
    );
  });

  it('are of the prompt that came first before they are of another', () => {
    fc.assert(
      fc.property(cases, ({ demands, bounds }) => {
        const tokens = schedule(demands, bounds);
        const prompts = demands.flatMap((demand, i) => (decodes(demand) ? [] : [i]));
        if (prompts.length === 0) return;
        expect(tokens[prompts[0]!]).toBeGreaterThan(0); // so that each has its turn
        const behind = prompts.slice(1).some((i) => tokens[i]! > 0);
        if (behind && !demands[0]!.whole) {
          const first = prompts[0]!;
          expect(tokens[first]).toBe(Math.min(demands[first]!.pending, bounds.chunk));
        }
      }),
    );
  });

  it('compute everything in the end, whatever arrives meanwhile', () => {
    fc.assert(
      fc.property(cases, ({ demands, bounds }) => {
        const left = demands.map(({ pending }) => pending);
        const most = sum(left) + 1;
        let calls = 0;
        while (left.some((n) => n > 0)) {
          // What is done decodes one token after another, which must not keep others from theirs.
          const now = demands.map(({ whole }, i) => ({ pending: Math.max(1, left[i]!), whole }));
          for (const [i, n] of schedule(now, bounds).entries()) left[i] = Math.max(0, left[i]! - n);
          expect(++calls).toBeLessThanOrEqual(most);
        }
      }),
    );
  });
});
