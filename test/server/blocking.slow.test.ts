import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

/**
 * Milliseconds of CPU in which a turn of the event loop must end, on a machine of nominal speed: 10, and as much again for
 * what works on the same core's other hardware thread meanwhile.
 */
const LONGEST = 20;

/** What others take of a CPU does not count there, and of several rounds the best, since a collection of garbage may fall in any. */
it('no request keeps the event loop from others, as large as it may be', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, ['dist/bench/blocking.js'], { timeout: 900_000 });
  const slower = Number(/takes ([\d.]+) times/.exec(stdout)![1]);
  const rows = [...stdout.matchAll(/^\| (.+?) \| \d+ \| (\d+) \| (.+?) \|$/gm)];
  expect(rows.length).toBeGreaterThan(10);
  for (const [, name, status, times] of rows) {
    const best = Math.min(...times!.split(', ').map(Number));
    expect(Number(status), name).toBeLessThan(500);
    expect(best, name).toBeLessThan(LONGEST * Math.max(1, slower));
  }
}, 920_000);
