import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkBudget, checkRam, chunkSize } from '../../src/loading/fitting.js';
import { fiddlerError } from '../support/errors.js';
import { parseBytes } from '../support/sizes.js';

describe('the tokens of a call', () => {
  const sizes = fc.integer({ min: 1, max: 2 ** 40 });

  it('are never more than the context holds', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 200_000 }), fc.boolean(), sizes, sizes, (context, gpu, each, budget) => {
        const tokens = chunkSize(context, gpu, each, budget, () => 0);
        expect(tokens).toBeGreaterThan(0);
        expect(tokens).toBeLessThanOrEqual(context);
      }),
    );
  });

  it('are 512, and more only on a GPU where a small part of the budget holds them', () => {
    expect(chunkSize(8192, false, 1, 2 ** 40, () => 0)).toBe(512);
    expect(chunkSize(8192, true, 2 ** 20, 2 ** 36, () => 0)).toBe(4096);
    expect(chunkSize(8192, true, 2 ** 20, 2 ** 36 - 1, () => 0)).toBe(2048);
    expect(chunkSize(8192, true, 2 ** 20, 2 ** 34, () => 0)).toBe(2048);
    expect(chunkSize(8192, true, 2 ** 20, 2 ** 34 - 1, () => 0)).toBe(512);
    expect(chunkSize(8192, true, 2 ** 20, 2 ** 36, () => 2 ** 36 - 2 ** 32 + 1)).toBe(2048);
    expect(chunkSize(8192, true, 2 ** 20, 2 ** 36, (tokens) => (tokens > 2048 ? 2 ** 36 : 0))).toBe(2048);
    expect(chunkSize(100, true, 2 ** 20, 2 ** 34, () => 0)).toBe(100);
  });
});

describe('what does not fit', () => {
  it('is refused with a budget that suffices', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 2 ** 45 }), fc.integer({ min: 1, max: 2 ** 45 }), (needed, budget) => {
        if (needed <= budget) return checkBudget(needed, budget, 'cuda');
        const message = fiddlerError('memory', () => checkBudget(needed, budget, 'cuda'));
        expect(parseBytes(message.match(/--gpu-memory (\S+)/)![1]!)).toBeGreaterThanOrEqual(needed);
      }),
    );
  });

  it('in RAM is refused before it is loaded', () => {
    expect(() => checkRam(2 ** 30, 2 ** 30)).not.toThrow();
    expect(fiddlerError('memory', () => checkRam(2 ** 30, 2 ** 30 - 1))).toContain('of RAM');
    expect(fiddlerError('memory', () => checkRam(2, 1, 4))).toContain('--parallel');
  });
});
