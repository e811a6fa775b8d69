import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../support/folder.js';
import { fiddler, jsonLines } from './fiddler.js';

/** One thread, since two that wait for each other are slow on cores that are busy otherwise. */
const CPU = ['--accelerator', 'none', '--threads', '1'];
const TEXT = 'The old house stood on the hill.';

describe('fiddler score', () => {
  it('gives a line a position, then the report and the perplexity', async () => {
    const { code, stdout, stderr } = await fiddler(['score', TEXT, ...CPU, '--json', '--logprobs', '2']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const lines = jsonLines(stdout);
    const { report, perplexity } = lines.pop();
    expect(report.promptTokens).toBe(lines.length);
    expect(lines.map(({ position }) => position)).toEqual(lines.map((_, i) => i));
    expect(lines.map(({ text }) => text).join('')).toBe(TEXT);
    expect(lines[0]).not.toHaveProperty('logprob'); // nothing precedes it
    const scored = lines.slice(1);
    for (const { logprob, top } of scored) {
      expect(top).toHaveLength(2);
      expect(logprob).toBeLessThanOrEqual(top[0].logprob);
    }
    const mean = scored.reduce((sum, { logprob }) => sum + logprob, 0) / scored.length;
    expect(perplexity).toBeCloseTo(Math.exp(-mean), 9);
  });

  it('agrees with what run gives for the next token', async () => {
    const ids = [1, 17, 42, 99, 7];
    const model = ['--model', 'test/golden/mixtral', '--dtype', 'f32', '--json', '--logprobs', '4', ...CPU];
    const run = await fiddler(['run', '--tokens', `${ids}`, '--temperature', '0', '--max-tokens', '1', ...model]);
    const { token, top } = jsonLines(run.stdout)[0];
    const score = await fiddler(['score', '--tokens', `${[...ids, token]}`, ...model]);
    const last = jsonLines(score.stdout).at(-2);
    expect(last).toMatchObject({ position: ids.length, token });
    for (const [i, { token, logprob }] of last.top.entries()) {
      expect(token).toBe(top[i].token);
      expect(logprob).toBeCloseTo(top[i].logprob, 4);
    }
    expect(last.logprob).toBe(last.top[0].logprob);
  });

  it('reads a text, a file and a pipe', async () => {
    const file = join(temporaryFolder(), 'text.txt');
    writeFileSync(file, TEXT);
    const text = await fiddler(['score', TEXT, ...CPU]);
    expect(text.stdout).toMatch(/^ +0 +1 +- +""\n +1 +\d+ +-\d+\.\d{4} +"The"\n/);
    expect(text.stdout).toMatch(/\nperplexity \d+\.\d{4} over 8 tokens\n$/);
    expect(text.stderr).toMatch(/^prefill +9 tokens/m);
    expect((await fiddler(['score', file, ...CPU])).stdout).toBe(text.stdout);
    expect((await fiddler(['score', ...CPU], TEXT)).stdout).toBe(text.stdout);
  });

  it('says so where there is no file of a name', async () => {
    for (const name of ['absent.txt', './absent', '/tmp/absent/x']) {
      const { code, stdout, stderr } = await fiddler(['score', name, ...CPU]);
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
      expect(stderr).toContain(`there is no file ${name}`);
    }
    expect((await fiddler(['score', '-', ...CPU], 'absent.txt')).code).toBe(0);
  });
});
