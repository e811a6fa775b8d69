import { spawnSync } from 'node:child_process';
import { closeSync, constants, cpSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { Replayed } from '../../src/experts/replay.js';
import { temporaryFolder } from '../support/folder.js';
import { fiddler, jsonLines, start } from './fiddler.js';

/** One thread, since two that wait for each other are slow on cores that are busy otherwise; and a policy for which nothing is measured. */
const CPU = ['--accelerator', 'none', '--threads', '1', '--policy', 'static'];
const SEEDED = [...CPU, '--seed', '7', '--max-tokens', '40'];
const GOLDEN = ['--model', 'test/golden/mixtral', ...CPU];
const expected = JSON.parse(readFileSync('test/golden/mixtral/expected.json', 'utf8'));

/** What one command writes, run once for all tests. */
let spoken: ReturnType<typeof fiddler> | undefined;
function she() {
  spoken ??= fiddler(['run', 'She', ...SEEDED]);
  return spoken;
}

describe('fiddler run', () => {
  it('tells a story without being asked: text to stdout, the report to stderr', async () => {
    const { code, stdout, stderr } = await fiddler(['run', ...SEEDED, '--policy', 'lanes']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^Once upon a time.+\n$/s);
    expect(stdout).not.toContain('tokens/s');
    expect(stderr).toMatch(/^model +mini-mixtral on none, policy lanes, \d+ threads?$/m);
    expect(stderr).toMatch(/^decode +40 tokens, \d+.* tokens\/s/m);
    expect(stderr).toMatch(/^experts +0 of 48 resident/m);
    expect(stderr).toMatch(/^ {2}CPU +\d+ experts/m);
  });

  it('finds out by itself where to compute', async () => {
    const { code, stderr } = await fiddler(['run', '--max-tokens', '2']);
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(/^model +mini-mixtral on (cuda|vulkan|none), /m);
  });

  it('reads the prompt as an argument, from a pipe and from "-", and prints what follows it', async () => {
    const { stdout } = await fiddler(['run', 'The old house', ...SEEDED], 'not read');
    expect(stdout).not.toContain('The old house');
    expect(stdout.length).toBeGreaterThan(40);
    expect((await fiddler(['run', ...SEEDED], 'The old house\n')).stdout).toBe(stdout);
    expect((await fiddler(['run', '-', ...SEEDED], 'The old house')).stdout).toBe(stdout);
  });

  it('writes the same with the same seed, and something else with another', async () => {
    const [first, again, other] = [
      await she(),
      await fiddler(['run', 'She', ...SEEDED]),
      await fiddler(['run', 'She', ...SEEDED, '--seed', '8']),
    ];
    expect(again.stdout).toBe(first.stdout);
    expect(other.stdout).not.toBe(first.stdout);
    expect(first.stderr).toMatch(/^seed +7$/m);
  });

  it('gives one JSON object a line: each token, then the report', async () => {
    const { stdout, stderr } = await fiddler(['run', 'She', ...SEEDED, '--json', '--logprobs', '3']);
    const lines = jsonLines(stdout);
    const { report } = lines.pop();
    expect(report).toMatchObject({ model: 'mini-mixtral', generatedTokens: 40, finish: 'length', seed: 7 });
    expect(lines).toHaveLength(40);
    for (const { token, text, top } of lines) {
      expect(Number.isInteger(token) && typeof text === 'string').toBe(true);
      expect(top).toHaveLength(3);
      const logprobs = top.map((t: { logprob: number }) => t.logprob);
      expect(logprobs).toEqual(logprobs.toSorted((a: number, b: number) => b - a));
      expect(logprobs[0]).toBeLessThanOrEqual(0);
    }
    expect(stderr).toBe('');
    const plain = await she();
    expect(lines.map(({ text }) => text).join('')).toBe(plain.stdout.replace(/\n$/, ''));
  });

  it('stops before the first of several texts', async () => {
    const whole = (await she()).stdout;
    const [first, second] = [whole.slice(30, 33), whole.slice(60, 64)];
    const { stdout } = await fiddler(['run', 'She', ...SEEDED, '--json', '--stop', second, '--stop', first]);
    const lines = jsonLines(stdout);
    expect(lines.pop().report.finish).toBe('stop');
    expect(lines.map(({ text }) => text).join('')).toBe(
      whole.slice(0, Math.min(whole.indexOf(first), whole.indexOf(second))),
    );
  });

  it('takes token ids where there is no tokenizer, and gives the greedy tokens of the reference', async () => {
    const args = ['--tokens', expected.input_ids.join(','), '--temperature', '0', '--dtype', 'f32', '--json'];
    const { code, stdout } = await fiddler(['run', ...GOLDEN, ...args, '--max-tokens', '24']);
    expect(code).toBe(0);
    const lines = jsonLines(stdout);
    expect(lines.pop().report.promptTokens).toBe(expected.input_ids.length);
    expect(lines.map(({ token }) => token)).toEqual(expected.greedy_continuation);
    expect(lines.every(({ text }) => text === '')).toBe(true);
  });

  it('writes down what the routers chose, which simulate replays', async () => {
    const trace = join(temporaryFolder(), 'trace.jsonl');
    const told = await fiddler(['run', 'Once', '--max-tokens', '12', '--seed', '1', '--trace', trace, ...CPU]);
    expect(told.code, told.stderr).toBe(0);
    const { code, stdout, stderr } = await fiddler([
      'simulate',
      '--trace',
      trace,
      '--experts-resident',
      '50%',
      '--json',
    ]);
    expect(code, stderr).toBe(0);
    const found = JSON.parse(stdout);
    expect(found).toMatchObject({ model: 'mini-mixtral', slots: 24, total: 48 });
    expect(found.tokens).toBeGreaterThanOrEqual(12);
    const misses = Object.fromEntries(found.replayed.map((each: Replayed) => [each.policy, each.misses]));
    expect(misses.belady).toBeLessThanOrEqual(misses.lru);
    expect(misses.lru).toBeGreaterThan(0);
  });

  it('writes whole characters only, however unlikely the text', async () => {
    const { child, chunks, ended } = start(['run', 'Ünï', ...CPU, '--seed', '1', '--temperature', '9', '--top-p', '1']);
    child.stdin.end();
    const { code } = await ended;
    expect(code).toBe(0);
    const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    const characters = chunks.map((chunk) => new TextDecoder('utf-8', { fatal: true }).decode(chunk)).join('').length;
    expect(bytes, 'a text with characters of several bytes').toBeGreaterThan(characters);
  });
});

describe('what ends fiddler run early', () => {
  const endless = ['run', 'She', ...CPU, '--max-tokens', '2000', '--seed', '3'];

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('%s: the report, and exit code %d', async (signal, exitCode) => {
    const { child, started, ended } = start(endless);
    await started;
    child.kill(signal);
    const { code, stderr } = await ended;
    expect(code).toBe(exitCode);
    expect(stderr).toMatch(/^decode +\d+ tokens?, .*it was interrupted$/m);
  });

  it('a closed pipe: nothing more is said', async () => {
    const { child, started, ended } = start(endless);
    await started;
    child.stdout.destroy();
    expect(await ended).toMatchObject({ code: 0, stderr: '' });
  });

  it('Ctrl-C while it waits for stdin', async () => {
    const { child, ended } = start(['run', '-']);
    await new Promise<void>((resolve) => child.stderr.once('data', () => resolve())); // it says that it waits
    child.kill('SIGINT');
    const { code, stderr } = await ended;
    expect(code).toBe(130);
    expect(stderr).toBe('fiddler: reading from standard input\n');
  });

  describe.runIf(process.platform === 'linux')('Ctrl-C while it loads', () => {
    /** Starts with a model whose tokenizer.json is a pipe: loading blocks until `release` closes that. */
    async function startBlocked() {
      const dir = temporaryFolder();
      cpSync('test/golden/mixtral', dir, { recursive: true });
      const pipe = join(dir, 'tokenizer.json');
      spawnSync('mkfifo', [pipe]);
      const running = start(['run', '--tokens', '1', '--model', dir, ...CPU]);
      const opened = await openedForReading(pipe);
      return { ...running, release: () => closeSync(opened) };
    }

    /** Opens a pipe for writing once somebody reads it. */
    async function openedForReading(pipe: string): Promise<number> {
      for (;;) {
        try {
          return openSync(pipe, constants.O_WRONLY | constants.O_NONBLOCK);
        } catch {
          await sleep(10);
        }
      }
    }

    it('ends without a word', async () => {
      const { child, ended, release } = await startBlocked();
      child.kill('SIGINT');
      await sleep(500); // until the signal is handled: the error of the released load would come first
      release();
      expect(await ended).toMatchObject({ code: 130, stdout: '', stderr: '' });
    });

    it('ends at once when it is pressed again, though the thread is blocked', async () => {
      const { child, ended, release } = await startBlocked();
      child.kill('SIGINT');
      await sleep(200);
      expect(child.exitCode).toBeNull();
      const pressed = performance.now();
      child.kill('SIGINT');
      expect(await ended).toMatchObject({ signal: 'SIGINT' }); // which shells show as 130
      expect(performance.now() - pressed, 'milliseconds, where the grace is 10 seconds').toBeLessThan(5000);
      release();
    });
  });
});
