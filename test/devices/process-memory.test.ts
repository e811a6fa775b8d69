import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { type ProcessMemory, processMemory } from '../../src/devices/process-memory.js';

const MODULE = new URL('../../dist/devices/process-memory.js', import.meta.url);

/** What a process of its own prints, whose peak is nobody else's: a test process has held the models of other tests. */
function alone(code: string): unknown {
  const { stdout } = spawnSync(process.execPath, ['--expose-gc', '--input-type=module', '-e', code], {
    encoding: 'utf8',
  });
  return JSON.parse(stdout);
}

describe('the memory of a process', () => {
  it('has a peak that large memory raises, and that stays when it is gone', () => {
    const [before, during, after] = alone(`
      import { processMemory } from '${MODULE}';
      const before = processMemory();
      let large = Buffer.alloc(512e6, 1);
      const during = processMemory();
      large = undefined;
      gc();
      console.log(JSON.stringify([before, during, processMemory()]));
    `) as ProcessMemory[];
    expect(during!.peak).toBeGreaterThan(before!.peak + 500e6);
    expect(after!.peak).toBeGreaterThanOrEqual(during!.peak);
    if (process.platform !== 'linux') return;
    expect(during!.anonymous).toBeGreaterThan(before!.anonymous + 500e6);
    expect(after!.anonymous).toBeLessThan(during!.anonymous - 500e6);
  });

  it.runIf(process.platform === 'linux')('is not that of the process that started it', () => {
    const large = Buffer.alloc(512e6, 1);
    const { peak } = alone(`
      import { processMemory } from '${MODULE}';
      console.log(JSON.stringify(processMemory()));
    `) as ProcessMemory;
    expect(peak).toBeGreaterThan(1e7);
    expect(peak).toBeLessThan(processMemory().peak - large.length / 2);
  });
});
