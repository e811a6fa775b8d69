import { setTimeout as sleep } from 'node:timers/promises';
import { describe, it } from 'vitest';
import { ENDS, expectEnd, expectNothingLeft, onLinux, trace } from './killed.js';

describe.runIf(onLinux)('a process that is ended while it copies experts leaves nothing behind', () => {
  it.each(ENDS)('%s', (...end) => expectEnd(end, 'host'));

  it.each([200, 500, 800, 1100])('SIGKILL after %d ms, whatever it does then', async (ms) => {
    const args = ['--accelerator', 'host', '--experts-resident', '100%', '--max-tokens', '2000'];
    const run = trace(['run', 'She', ...args]);
    await sleep(ms);
    run.child.kill('SIGKILL');
    await run.ended;
    await expectNothingLeft(run);
  });
});
