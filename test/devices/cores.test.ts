import { availableParallelism } from 'node:os';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { availableRam, countList, usableCores } from '../../src/devices/cores.js';

/** Numbers as the kernel lists them: runs joined by a dash. */
function kernelList(numbers: number[]): string {
  const runs: [number, number][] = [];
  for (const n of numbers) {
    const last = runs.at(-1);
    if (last && last[1] === n - 1) last[1] = n;
    else runs.push([n, n]);
  }
  return runs.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(',');
}

describe('cores and memory', () => {
  it('counts any list of the kernel', () => {
    const cores = fc.uniqueArray(fc.nat(300), { minLength: 1, maxLength: 200 });
    fc.assert(
      fc.property(cores, (numbers) => {
        expect(countList(kernelList(numbers.toSorted((a, b) => a - b)))).toBe(numbers.length);
      }),
    );
    expect(countList('0-3,8\n')).toBe(5);
  });

  it('gives at least one core, and no more than there are', () => {
    expect(usableCores()).toBeGreaterThanOrEqual(1);
    expect(usableCores()).toBeLessThanOrEqual(availableParallelism());
  });

  it('gives some memory, and no more than there is', () => {
    const { available, total } = availableRam();
    expect(available).toBeGreaterThan(2 ** 20);
    expect(available).toBeLessThanOrEqual(total);
  });
});
