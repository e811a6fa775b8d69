import { describe, expect, it } from 'vitest';
import { chooseAccelerator, resolveAccelerator } from '../../src/devices/choice.js';
import { isSoftware, type Probe, type ProbedDevice } from '../../src/devices/probe-result.js';
import { defaultThreads } from '../../src/loading/machine.js';
import { fiddlerError } from '../support/errors.js';

const device = (name: string, more: Partial<ProbedDevice> = {}): ProbedDevice => ({
  name,
  description: `the GPU ${name}`,
  kind: 'gpu',
  software: false,
  free: 1e9,
  total: 2e9,
  ...more,
});
const has = (...devices: ProbedDevice[]): Probe => ({ devices, absent: false });
const absent: Probe = { devices: [], fault: 'no driver', absent: true };
const broken: Probe = { devices: [], fault: 'library does not load', absent: false };
const works = has(device('A0'));
const dead = has(device('A0', { fault: 'aborted' }));
const software = has(device('A0', { software: true, description: 'llvmpipe' }));
const mixed = has(device('A0', { fault: 'aborted' }), device('A1', { software: true }), device('A2'), device('A3'));

/** What is asked for, what the probes give, what is chosen (or the error), and the warnings. */
const CASES: [name: string, cuda: Probe, vulkan: Probe, chosen: string | RegExp, warnings: RegExp[]][] = [
  ['auto', absent, absent, 'none', []],
  ['auto', works, works, 'cuda A0', []],
  ['auto', absent, works, 'vulkan A0', []],
  ['auto', broken, works, 'vulkan A0', [/^cuda is not used: library does not load/]],
  ['auto', dead, broken, 'none', [/^cuda is not used: aborted/, /^vulkan is not used: library does not load/]],
  ['auto', absent, software, 'none', []],
  ['auto', software, works, 'vulkan A0', []],
  ['auto', absent, mixed, 'vulkan A2', []],
  ['cuda', works, absent, 'cuda A0', []],
  ['cuda', dead, works, /cuda cannot be used here: aborted/, []],
  ['cuda', absent, works, /cuda cannot be used here: no driver/, []],
  ['vulkan', works, broken, /vulkan cannot be used here: library does not load/, []],
  ['vulkan', works, software, 'vulkan A0', [/^vulkan is a software device here \(llvmpipe\)/]],
  ['vulkan', works, mixed, 'vulkan A2', []],
  ['host', works, works, 'host', []],
  ['none', works, works, 'none', []],
];

describe('choice of the accelerator', () => {
  it.each(CASES)('%s: case %#', (name, cuda, vulkan, chosen, warnings) => {
    const given: string[] = [];
    const choose = () =>
      chooseAccelerator(
        name,
        (k) => (k.name === 'cuda' ? cuda : vulkan),
        (line) => given.push(line),
      );
    if (chosen instanceof RegExp) {
      expect(fiddlerError('device', choose)).toMatch(chosen);
    } else {
      const { kind, device } = choose();
      expect([kind.name, ...(device ? [device] : [])].join(' ')).toBe(chosen);
    }
    expect(given).toHaveLength(warnings.length);
    for (const [i, warning] of warnings.entries()) expect(given[i]).toMatch(warning);
    expect(given.join('')).not.toContain('\n');
  });

  it('probes no GPU that does not decide', () => {
    const probed: string[] = [];
    const probe = (answer: Probe) => (kind: { name: string }) => {
      probed.push(kind.name);
      return answer;
    };
    chooseAccelerator('auto', probe(works));
    chooseAccelerator('vulkan', probe(works));
    chooseAccelerator('host', probe(works));
    chooseAccelerator('none', probe(works));
    expect(probed).toEqual(['cuda', 'vulkan']);
  });

  it('refuses unknown names', () => {
    expect(fiddlerError('usage', () => resolveAccelerator('gpu'))).toContain(
      'auto or one of: cuda, vulkan, host, none',
    );
  });

  it('leaves a core for feeding a GPU, where there are more than 2', () => {
    const { kind } = chooseAccelerator('cuda', () => works);
    expect([1, 2, 3, 16].map((cores) => defaultThreads(kind, cores))).toEqual([1, 2, 2, 15]);
  });

  it('leaves one of many cores to the rest of the process, which may have hardware threads beside them', () => {
    const { kind } = chooseAccelerator('host', () => works);
    expect([1, 2, 8, 9, 16].map((cores) => defaultThreads(kind, cores))).toEqual([1, 2, 8, 8, 15]);
    expect([8, 16].map((cores) => defaultThreads(kind, cores, 2 * cores))).toEqual([8, 16]);
  });

  it('knows software devices by their descriptions', () => {
    expect(isSoftware('llvmpipe (LLVM 15.0.6, 256 bits)')).toBe(true);
    expect(isSoftware('SwiftShader Device (LLVM 10.0.0)')).toBe(true);
    expect(isSoftware('NVIDIA H200')).toBe(false);
    expect(isSoftware('AMD Radeon RX 7900 XTX (RADV NAVI31)')).toBe(false);
  });
});
