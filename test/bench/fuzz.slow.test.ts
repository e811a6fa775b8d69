import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { runScript } from '../support/command.js';

const fuzz = (...args: string[]) => runScript('dist/bench/fuzz/fuzz.js', args);
const target = (name: string) => pathToFileURL(join('test', 'bench', 'fuzz-targets', `${name}.mjs`)).href;

describe('the fuzzer', () => {
  it('finds nothing in a thousand cases', { timeout: 240_000 }, async () => {
    const { code, stdout } = await fuzz('--seed', '13', '--cases', '1400', '--seconds', '90');
    expect(code, stdout).toBe(0);
    expect(stdout).toMatch(/^seed 13, .*[1-9]\d* cases, 0 findings/s);
  });

  it('finds what ends the process, what takes long, and errors without a code, and goes on behind them', async () => {
    const { code, stdout } = await fuzz('--seed', '1', '--cases', '40', '--target', target('bad'));
    expect(code).toBe(1);
    expect(stdout).toMatch(/--seed 1 --first 10: throws TypeError: a mistake/);
    expect(stdout).toMatch(/--seed 1 --first 20: takes \d\.\d s/);
    expect(stdout).toMatch(/--seed 1 --first 30: ends by SIGABRT/);
    expect(stdout).toMatch(/\n40 cases, 3 findings/);
  });

  it('makes the same input of the same seed and case', async () => {
    const inputs = async (first: string, cases: string) => {
      const { stdout } = await fuzz('--seed', '7', '--first', first, '--cases', cases, '--target', target('telling'));
      return [...stdout.matchAll(/throws Error: input (\S+)/g)].map(([, input]) => input);
    };
    const [all, third] = [await inputs('0', '3'), await inputs('2', '1')];
    expect(new Set(all).size).toBe(3);
    expect(third).toEqual(all.slice(2));
  });
});
