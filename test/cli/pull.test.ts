import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { duration, RecentRate } from '../../src/cli/progress.js';
import { temporaryFolder } from '../support/folder.js';
import { hubServer, refuse } from '../support/hub-server.js';
import { start } from './fiddler.js';
import { atTerminal } from './terminal.js';

const CPU = ['--accelerator', 'none', '--threads', '1', '--ctx', '64'];

async function fiddler(args: readonly string[], endpoint: string, home: string) {
  const { child, ended } = start(args, {
    HF_ENDPOINT: endpoint,
    HF_HOME: home,
    HF_TOKEN: '',
    FIDDLER_CACHE: temporaryFolder(),
  });
  child.stdin.end();
  return ended;
}

describe('a model on the hub', () => {
  it('is downloaded once, then runs without a network', async () => {
    const hub = await hubServer('models/mini-mixtral', 'org/model');
    const home = temporaryFolder();
    const asking = await fiddler(['pull', 'org/model', ...CPU], hub.endpoint, home);
    expect(asking).toMatchObject({ code: 2, stdout: '' });
    expect(asking.stderr).toMatch(
      /org\/model: 1\d\.\d MB, into .*models--org--model \(.* free\)\nit fits this machine\n/,
    );
    expect(asking.stderr).toContain('fiddler: nobody is asked whether to download it; give --yes\n');
    expect(existsSync(join(home, 'hub', 'models--org--model', 'blobs'))).toBe(false);

    const pulled = await fiddler(['pull', 'org/model', '--yes', ...CPU], hub.endpoint, home);
    expect(pulled.code).toBe(0);
    expect(existsSync(join(pulled.stdout.trim(), 'config.json'))).toBe(true);
    const run = ['run', 'Once', '--max-tokens', '3', '--temperature', '0', '--no-learn', ...CPU];
    const there = await fiddler([...run, '-m', 'org/model'], 'http://127.0.0.1:1', home);
    expect(there.code, there.stderr).toBe(0);
    expect(there.stdout).toBe((await fiddler(run, 'http://127.0.0.1:1', home)).stdout);
  });

  it('is not downloaded where it does not fit', async () => {
    const hub = await hubServer('models/mini-mixtral', 'org/model');
    const home = temporaryFolder();
    const tight = ['--accelerator', 'host', '--threads', '1', '--gpu-memory', '1MiB', '--yes'];
    const { code, stderr } = await fiddler(['run', 'Once', '-m', 'org/model', ...tight], hub.endpoint, home);
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /fiddler: org\/model is not downloaded, since it does not fit; the parts that must be on host/,
    );
    expect(existsSync(join(home, 'hub'))).toBe(false);
  });

  it.each([
    ['cannot reach', 'http://127.0.0.1:1', 'org/model', 1],
    ['is no name on the hub', 'http://127.0.0.1:1', './nowhere', 2],
  ])('is said in one line: %s', async (problem, endpoint, name, code) => {
    const ended = await fiddler(['pull', name, '--yes', ...CPU], endpoint, temporaryFolder());
    expect(ended).toMatchObject({ code, stdout: '' });
    expect(ended.stderr).toContain(problem);
    expect(ended.stderr.trimEnd()).not.toContain('\n');
  });

  it('tells how to get access', async () => {
    const intercept = (_: unknown, response: Parameters<typeof refuse>[0]) => {
      refuse(response, 403, 'GatedRepo');
      return true;
    };
    const hub = await hubServer('models/mini-mixtral', 'org/model', { intercept });
    const home = temporaryFolder();
    const { stderr } = await fiddler(['run', 'Once', '-m', 'org/model', '--yes', ...CPU], hub.endpoint, home);
    expect(stderr).toMatch(/org\/model is given only to those who have access; accept its conditions .* set HF_TOKEN/);
    expect(readdirSync(home)).toEqual([]);
  });
});

describe.runIf(process.platform === 'linux')('a download at a terminal', () => {
  /** What is shown where somebody answers the question. */
  async function answered(keys: string) {
    const hub = await hubServer('models/mini-mixtral', 'org/model', { delay: 100 });
    const home = temporaryFolder();
    const env = { HF_ENDPOINT: hub.endpoint, HF_HOME: home, HF_TOKEN: '', FIDDLER_CACHE: temporaryFolder() };
    let asked = false;
    const onOutput = (all: string, type: (keys: string) => void) => {
      if (!asked && all.includes('[Y/n] ')) type(keys);
      asked ||= all.includes('[Y/n] ');
    };
    return { ...(await atTerminal(['pull', 'org/model', ...CPU], onOutput, env)), home };
  }

  it('begins when somebody agrees, and shows how far it is, its rate and the time left', async () => {
    const { code, output, home } = await answered('\r');
    expect(output).toMatch(/it fits this machine\r\n.*download 1\d\.\d MB\? \[Y\/n\] /s);
    expect(output).toMatch(/downloading \[.+\] [\d.]+ \w+ of 1\d\.\d MB, (waiting|[\d.]+ \w+\/s), (\d+ s left)?/);
    expect(code).toBe(0);
    expect(existsSync(join(home, 'hub', 'models--org--model', 'refs', 'main'))).toBe(true);
  });

  it('does not begin where the answer is no', async () => {
    const { code, output, home } = await answered('n\r');
    expect(output).toContain('fiddler: nothing was downloaded; answer y, or give --yes\r\n');
    expect(output).not.toContain('downloading');
    expect(code).toBe(2);
    expect(existsSync(join(home, 'hub'))).toBe(false);
  });
});

describe('the progress of a download', () => {
  it('has the rate of the last seconds', () => {
    let time = 0;
    const rate = new RecentRate(() => time);
    expect(rate.perSecond()).toBe(0);
    for (; time <= 10_000; time += 100) rate.add(time); // 1,000 a second
    expect(rate.perSecond()).toBeCloseTo(980, -2);
    for (; time <= 20_000; time += 100) rate.add(10_000); // nothing more
    expect(rate.perSecond()).toBe(0);
  });

  it('has the time left in words', () => {
    expect([3.2, 99, 600, 3600 * 2 + 300].map(duration)).toEqual(['4 s', '99 s', '10 min', '2 h 05 min']);
  });
});
