import { describe, expect, it } from 'vitest';
import { usableCpus } from '../../src/devices/cores.js';
import { Machine } from '../../src/loading/machine.js';
import { Resources } from '../../src/native/resources.js';

describe('the threads of a machine', () => {
  it.each([1, 1000])('are what was asked for, but no more than there are CPUs: %i', (threads) => {
    const warnings: string[] = [];
    const resources = new Resources();
    const options = { threads, countsOnly: true, onWarning: (line: string) => warnings.push(line) };
    const machine = resources.during(() => new Machine('none', options));
    const cpus = usableCpus();
    expect(machine.threads).toBe(Math.min(threads, cpus));
    const said = threads > cpus ? [`${threads} threads are more than the CPUs that may be used: ${cpus} compute`] : [];
    expect(warnings).toEqual(said);
    resources.free();
  });
});
