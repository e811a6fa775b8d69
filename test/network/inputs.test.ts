import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ACCELERATORS } from '../../src/devices/accelerators.js';
import { attendedRows, CACHE_STEP, cacheRows } from '../../src/network/inputs.js';
import { fillMask } from '../../src/network/masks.js';

const MINUS_INFINITY = 0xfc00; // float16

describe('rows of the KV cache', () => {
  it('hold every token in the fewest whole steps', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 200_000 }), (tokens) => {
        const rows = cacheRows(tokens);
        expect(rows % CACHE_STEP).toBe(0);
        expect(rows).toBeGreaterThanOrEqual(tokens);
        expect(rows - CACHE_STEP).toBeLessThan(tokens);
      }),
    );
  });
});

describe.each(ACCELERATORS)('rows that attention reads on $name', ({ cacheStep }) => {
  it('hold every token, are of the cache, and at most an eighth or one step in vain', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 200_000 }), (tokens) => {
        const rows = attendedRows(tokens, cacheStep);
        expect(rows).toBeGreaterThanOrEqual(tokens);
        expect(rows).toBeLessThanOrEqual(cacheRows(tokens));
        expect(rows - tokens).toBeLessThan(Math.max(cacheStep, tokens / 8));
        expect(rows % cacheStep).toBe(0);
        expect(attendedRows(tokens + 1, cacheStep)).toBeGreaterThanOrEqual(rows);
      }),
    );
  });
});

describe('the attention mask', () => {
  it('lets each token see itself and those before it, within the window, and nothing else', () => {
    const calls = fc.record({
      past: fc.nat(300),
      count: fc.integer({ min: 1, max: 12 }),
      at: fc.nat(50),
      window: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 400 })),
    });
    fc.assert(
      fc.property(calls, ({ past, count, at, window }) => {
        const rows = cacheRows(past + count);
        const all = new Uint16Array(at + rows * count).fill(0x1234); // what an earlier call left
        fillMask(all, { past, count, rows, at }, window, { kept: rows, from: 0 });
        expect(all.subarray(0, at)).toEqual(new Uint16Array(at).fill(0x1234)); // of another sequence
        const mask = all.subarray(at);
        for (let token = 0; token < count; token++) {
          const position = past + token;
          for (let row = 0; row < rows; row++) {
            const seen = row <= position && (window === 0 || position - row < window);
            if (mask[token * rows + row] !== (seen ? 0 : MINUS_INFINITY)) {
              expect.fail(`token at ${position}, row ${row}, window ${window}: ${mask[token * rows + row]}`);
            }
          }
        }
      }),
    );
  });
});
