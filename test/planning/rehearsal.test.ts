import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { recallProcess, rememberProcess } from '../../src/loading/footprint.js';
import { Machine } from '../../src/loading/machine.js';
import { Resources } from '../../src/native/resources.js';
import { rehearsedProcess } from '../../src/planning/rehearsal.js';
import { temporaryFolder } from '../support/folder.js';

const MODEL = 'models/mini-mixtral';

/** What a script that prints `line` in place of a run is measured to take. */
function rehearsed(machine: Machine, line: string) {
  const script = join(temporaryFolder(), 'run.mjs');
  writeFileSync(script, `console.log(${JSON.stringify(line)})`);
  const warnings: string[] = [];
  const bytes = rehearsedProcess(machine, { onWarning: (w) => warnings.push(w) }, { script, model: MODEL });
  return { bytes, warnings };
}

describe('the process', () => {
  const withMachine = (use: (machine: Machine) => void) => {
    vi.stubEnv('FIDDLER_CACHE', temporaryFolder());
    const resources = new Resources();
    use(resources.during(() => new Machine('none', { countsOnly: true })));
    resources.free();
    vi.unstubAllEnvs();
  };

  it('takes what a run takes beside its model and tokenizer, and is measured once', () => {
    withMachine((machine) => {
      const first = rehearsed(machine, JSON.stringify({ report: { memory: { peakRss: 150e6, taken: 30e6 } } }));
      expect(first.warnings).toEqual([]);
      expect(first.bytes).toBeGreaterThan(110e6);
      expect(first.bytes).toBeLessThan(120e6);
      expect(rehearsed(machine, '').bytes).toBe(first.bytes);
      expect(recallProcess(machine)).toBe(first.bytes);
      expect(recallProcess(machine, { dtype: 'f32' })).toBeUndefined();
      expect(recallProcess(machine, { policy: 'stream' })).toBe(first.bytes);
    });
  });

  it.each(['', 'nonsense', '{}'])('is estimated, with a warning, where the run prints "%s"', (line) => {
    withMachine((machine) => {
      const { bytes, warnings } = rehearsed(machine, line);
      expect(bytes).toBeUndefined();
      expect(warnings).toHaveLength(1);
      expect(recallProcess(machine)).toBeUndefined();
    });
  });

  it('of a machine that is not here is not measured', () => {
    const resources = new Resources();
    const standIn = { gpu: { name: 'x', memory: 2 ** 34 }, cores: 4, ram: 2 ** 35 };
    const machine = resources.during(() => new Machine('auto', { standIn }));
    rememberProcess(machine, 1e8);
    expect(recallProcess(machine)).toBeUndefined();
    expect(rehearsed(machine, '')).toEqual({ bytes: undefined, warnings: [] });
    resources.free();
  });
});
