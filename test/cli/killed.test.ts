import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { temporaryFolder } from '../support/folder.js';
import { SOFTWARE_VULKAN, vulkanMissing } from '../support/vulkan.js';
import { type Running, start } from './fiddler.js';

const missing = vulkanMissing();
if (missing) console.warn(`Vulkan is NOT tested: ${missing}`);
const onLinux = process.platform === 'linux';
if (!onLinux) console.warn('Processes that are left behind are NOT looked for: this is not Linux');

const HOST = ['--accelerator', 'host'];
const VULKAN = ['--accelerator', 'vulkan'];
/** Copies every expert for each token, for much longer than a test waits. */
const streaming = [
  'run',
  'She',
  '--experts-resident',
  '0%',
  '--policy',
  'stream',
  '--max-tokens',
  '2000',
  '--seed',
  '3',
];

interface Traced extends Running {
  /** Ids of its processes, itself included, that still run. */
  processes(): number[];
  /** Files in its folder for temporary files. */
  files(): string[];
}

/** Starts `fiddler` so that whatever it leaves behind is found. */
function trace(args: readonly string[], env: Readonly<Record<string, string>> = {}): Traced {
  const mark = `FIDDLER_TEST_RUN=${randomUUID()}`;
  const [name, value] = mark.split('=') as [string, string];
  const temporary = temporaryFolder();
  const running = start(args, { ...env, TMPDIR: temporary, [name]: value });
  const processes = () =>
    readdirSync('/proc')
      .filter((pid) => /^\d+$/.test(pid) && environmentOf(pid).includes(mark))
      .map(Number);
  onTestFinished(() => {
    for (const pid of processes()) process.kill(pid, 'SIGKILL');
  });
  return { ...running, processes, files: () => readdirSync(temporary, { recursive: true, encoding: 'utf8' }) };
}

/** Empty for a process that has ended. */
function environmentOf(pid: string): string[] {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
  } catch {
    return [];
  }
}

/** What files a process has mapped. */
function libraries(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/maps`, 'utf8');
  } catch {
    return '';
  }
}

/** Waits until `condition` holds; fails after `seconds`. */
async function eventually(what: string, seconds: number, condition: () => boolean): Promise<void> {
  const end = performance.now() + seconds * 1000;
  while (!condition()) {
    expect(performance.now(), what).toBeLessThan(end);
    await sleep(20);
  }
}

async function expectNothingLeft({ processes, files }: Traced): Promise<void> {
  await eventually('no process is left', 2, () => processes().length === 0);
  expect(files()).toEqual([]);
}

describe.runIf(onLinux)('a process that is ended while it copies experts leaves nothing behind', () => {
  const settings = [
    ['host', HOST, {}],
    ['Vulkan', VULKAN, SOFTWARE_VULKAN],
  ] as const;
  const ends = [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGKILL', null],
  ] as const;
  for (const [name, accelerator, env] of settings) {
    it.skipIf(name === 'Vulkan' && missing).each(ends)(`%s on ${name}`, async (signal, exitCode) => {
      const run = trace([...streaming, ...accelerator], env);
      await run.started;
      expect(run.processes()).toContain(run.child.pid);
      run.child.kill(signal);
      const { code, stderr } = await run.ended;
      expect(code).toBe(exitCode);
      expect(stderr).not.toMatch(/error|assert|at .*\.js:\d+/i);
      await expectNothingLeft(run);
    });
  }

  it.each([200, 500, 800, 1100])('SIGKILL after %d ms, whatever it does then', async (ms) => {
    const run = trace(['run', 'She', ...HOST, '--experts-resident', '100%', '--max-tokens', '2000']);
    await sleep(ms);
    run.child.kill('SIGKILL');
    await run.ended;
    await expectNothingLeft(run);
  });

  it.skipIf(missing)('SIGKILL while a GPU is tried in a process of its own', async () => {
    const cache = temporaryFolder(); // nothing is remembered of an earlier trial
    const env = { ...SOFTWARE_VULKAN, FIDDLER_CACHE: cache };
    const run = trace([...streaming, ...VULKAN], env);
    const trial = () => run.processes().find((pid) => pid !== run.child.pid && libraries(pid).includes('ggml-vulkan'));
    await eventually('the trial loads its library', 60, () => trial() !== undefined);
    process.kill(trial()!, 'SIGSTOP'); // as if a driver hung
    run.child.kill('SIGKILL');
    await run.ended;
    await expectNothingLeft(run);
  });
});
