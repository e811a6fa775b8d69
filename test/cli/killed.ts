import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished } from 'vitest';
import { temporaryFolder } from '../support/folder.js';
import { type Running, start } from './fiddler.js';

export const onLinux = process.platform === 'linux';
if (!onLinux) console.warn('Processes that are left behind are NOT looked for: this is not Linux');

/** Signals, and the exit code behind each. */
export const ENDS = [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGKILL', null],
] as const;

/** Copies every expert for each token, for much longer than a test waits. */
export const STREAMING = [
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
export function trace(args: readonly string[], env: Readonly<Record<string, string>> = {}): Traced {
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
export function libraries(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/maps`, 'utf8');
  } catch {
    return '';
  }
}

/** Waits until `condition` holds; fails after `seconds`. */
export async function eventually(what: string, seconds: number, condition: () => boolean): Promise<void> {
  const end = performance.now() + seconds * 1000;
  while (!condition()) {
    expect(performance.now(), what).toBeLessThan(end);
    await sleep(20);
  }
}

export async function expectNothingLeft({ processes, files }: Traced): Promise<void> {
  await eventually('no process is left', 2, () => processes().length === 0);
  expect(files()).toEqual([]);
}

/** Ends a process that copies experts by a signal, and looks for what it left. */
export async function expectEnd(
  [signal, exitCode]: readonly [NodeJS.Signals, number | null],
  accelerator: string,
  env: Readonly<Record<string, string>> = {},
): Promise<void> {
  const run = trace([...STREAMING, '--accelerator', accelerator], env);
  await run.started;
  expect(run.processes()).toContain(run.child.pid);
  run.child.kill(signal);
  const { code, stderr } = await run.ended;
  expect(code).toBe(exitCode);
  expect(stderr).not.toMatch(/error|assert|at .*\.js:\d+/i);
  await expectNothingLeft(run);
}
