import { execFileSync, spawn } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { lostShare } from '../../src/devices/core-watch.js';
import { allowedCpus } from '../../src/devices/topology.js';

const ms = fc.double({ min: 0, max: 1e6, noNaN: true });

describe('what others take of the cores', () => {
  it('is the time waited for them, of all that was wanted', () => {
    expect(lostShare([{ ran: 10, waited: 0 }])).toBe(0);
    expect(lostShare([])).toBe(0);
    const thread = { ran: 30, waited: 10 };
    expect(lostShare([thread, { ran: 0, waited: 0 }, thread])).toBe(0.25);
    // On one core its own threads wait for each other: others had no more of it than these left.
    expect(lostShare([thread, thread], 60)).toBe(0);
    expect(lostShare([thread, thread], 65)).toBe(5 / 65);
    expect(lostShare([thread, thread], 80)).toBe(0.25);
    expect(lostShare([thread, thread], 50)).toBe(0);
    fc.assert(
      fc.property(fc.array(fc.record({ ran: ms, waited: ms })), ms, (threads, room) => {
        expect(lostShare(threads, room)).toBeGreaterThanOrEqual(0);
        expect(lostShare(threads, room)).toBeLessThanOrEqual(lostShare(threads));
        expect(lostShare(threads)).toBeLessThanOrEqual(1);
      }),
    );
  });

  it.runIf(process.platform === 'linux')('is about half of a core on which another process is as busy', () => {
    const core = ['-c', `${allowedCpus()![0]}`, process.execPath];
    const busy = spawn('taskset', [...core, '-e', 'for (;;);'], { stdio: 'ignore' });
    onTestFinished(() => void busy.kill('SIGKILL'));
    const script = `import { CoreWatch } from '#fiddler/devices/core-watch.js';
      const watch = new CoreWatch();
      for (const begin = performance.now(); performance.now() - begin < 500; );
      console.log(watch.lost);`;
    const lost = execFileSync('taskset', [...core, '--input-type=module', '-e', script], { encoding: 'utf8' });
    expect(Number(lost)).toBeGreaterThan(0.2);
  });
});
