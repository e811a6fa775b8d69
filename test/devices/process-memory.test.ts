import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { processMemory } from '../../src/devices/process-memory.js';

describe('the memory of a process', () => {
  it('has a peak that large memory raises, and that stays when it is gone', () => {
    const before = processMemory();
    let large: Buffer | undefined = Buffer.alloc(before.peak, 1);
    expect(large.at(-1)).toBe(1);
    const during = processMemory();
    large = undefined;
    expect(during.peak).toBeGreaterThan(before.peak + 0.5 * before.peak);
    expect(processMemory().peak).toBeGreaterThanOrEqual(during.peak);
  });

  it.runIf(process.platform === 'linux')('is not that of the process that started it', () => {
    const script = new URL('../../dist/devices/process-memory.js', import.meta.url);
    const code = `import('${script}').then((m) => console.log(m.processMemory().peak))`;
    const { stdout } = spawnSync(process.execPath, ['-e', code], { encoding: 'utf8' });
    expect(Number(stdout)).toBeGreaterThan(1e7);
    expect(Number(stdout)).toBeLessThan(processMemory().peak / 2);
  });
});
