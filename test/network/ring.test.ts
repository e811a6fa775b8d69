import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Device } from '../../src/devices/device.js';
import { cacheRows } from '../../src/network/inputs.js';
import { fillMask } from '../../src/network/masks.js';
import { keptRows, Ring, readRows } from '../../src/network/ring.js';

const NO_DEVICE = { once: () => {} } as unknown as Device;

describe('rows that a layer keeps of a sequence', () => {
  const sizes = fc.record({
    context: fc.integer({ min: 1, max: 200_000 }),
    chunk: fc.integer({ min: 1, max: 4096 }),
    step: fc.constantFrom(64, 256),
  });

  it('are a context, or the window with what a call writes behind it where that is less', () => {
    fc.assert(
      fc.property(sizes, fc.integer({ min: 1, max: 5000 }), (given, window) => {
        const all = cacheRows(given.context);
        expect(keptRows(0, given)).toBe(all);
        const kept = keptRows(window, given);
        expect(kept % given.step).toBe(0);
        expect(kept).toBeLessThanOrEqual(all);
        if (kept < all) expect(kept).toBeGreaterThanOrEqual(window - 1 + given.chunk);
      }),
    );
  });

  it('are little of a long context', () => {
    const long = { context: 100_000, chunk: 512, step: 256 };
    expect(keptRows(128, long)).toBe(4352);
    expect(keptRows(1024, long)).toBe(5120);
  });
});

/** What a sequence does: it goes back, as far as it may, and computes tokens. */
const schedules = fc.array(
  fc.record({
    back: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.nat(40)),
    count: fc.integer({ min: 1, max: 8 }),
  }),
  { minLength: 1, maxLength: 30 },
);

describe('a ring of the KV cache', () => {
  it('shows each token the last of its window, whatever was computed before and gone back from', () => {
    const rings = fc.record({
      window: fc.integer({ min: 1, max: 9 }),
      slack: fc.nat(12),
      least: fc.constantFrom(1, 4),
    });
    fc.assert(
      fc.property(rings, schedules, ({ window, slack, least }, schedule) => {
        const rows = Math.ceil((window - 1 + 8 + slack) / least) * least;
        const ring = new Ring(NO_DEVICE, [], { window, rows }, 2);
        const held: (string | undefined)[] = Array.from({ length: rows });
        let length = 0;
        for (const [call, { back, count }] of schedule.entries()) {
          const wanted = Math.max(0, length - back);
          const past = ring.resumable(1, wanted);
          ring.begin(1, past, past + count);
          length = past + count;
          const name = (position: number) => `${position} of ${call}`;
          for (let p = past; p < length; p++) held[p % rows] = name(p);
          const read = readRows({ past, tokens: Array.from({ length: count }, () => 0) }, window, rows, least);
          expect(read.from).toBeGreaterThanOrEqual(0);
          expect(read.from + read.count).toBeLessThanOrEqual(rows);
          const mask = new Uint16Array(count * read.count);
          fillMask(mask, { past, count, rows: read.count, at: 0 }, window, { kept: rows, from: read.from });
          for (let i = 0; i < count; i++) {
            const seen = held
              .slice(read.from, read.from + read.count)
              .filter((_, row) => mask[i * read.count + row] === 0)
              .map((at) => Number(at!.split(' ')[0]));
            const last = past + i;
            const first = Math.max(0, last - window + 1);
            expect(seen.sort((a, b) => a - b)).toEqual(Array.from({ length: last - first + 1 }, (_, j) => first + j));
          }
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('is gone back in as far as it holds what the window needs, and no farther', () => {
    const ring = new Ring(NO_DEVICE, [], { window: 8, rows: 64 }, 2);
    ring.begin(0, 0, 64);
    expect(ring.resumable(0, 3)).toBe(3);
    ring.begin(0, 64, 65);
    expect(ring.resumable(0, 3)).toBe(0);
    ring.begin(0, 65, 300);
    expect(ring.resumable(0, 300 - 64 + 7)).toBe(300 - 64 + 7);
    expect(ring.resumable(0, 300 - 64 + 6)).toBe(0);
    ring.copy(0, 1, 290, 0);
    ring.forget(0);
    expect([ring.resumable(0, 9), ring.resumable(1, 290), ring.resumable(1, 9)]).toEqual([9, 290, 0]);
  });
});
