import { availableParallelism } from 'node:os';
import { describe, expect, it } from 'vitest';
import { availableRam, cpusForThreads, usableCores, usableCpus } from '../../src/devices/cores.js';

describe('cores and memory', () => {
  it('gives at least one core, and no more than there are', () => {
    expect(usableCores()).toBeGreaterThanOrEqual(1);
    expect(usableCores()).toBeLessThanOrEqual(usableCpus());
    expect(usableCpus()).toBeLessThanOrEqual(availableParallelism());
  });

  it('gives each thread a CPU of its own, where there are as many', () => {
    const cpus = cpusForThreads(usableCores());
    if (process.platform === 'linux') expect(new Set(cpus).size).toBe(usableCores());
    else expect(cpus).toBeUndefined();
    expect(cpusForThreads(100_000)).toBeUndefined();
  });

  it('gives some memory, and no more than there is', () => {
    const { available, total } = availableRam();
    expect(available).toBeGreaterThan(2 ** 20);
    expect(available).toBeLessThanOrEqual(total);
  });
});
