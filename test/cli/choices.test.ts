import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Choice } from '../../src/report.js';
import { fiddler, jsonLines } from './fiddler.js';

const CPU = ['--accelerator', 'none', '--threads', '1'];
const [golden] = JSON.parse(readFileSync('test/golden/mini-mixtral/expected.json', 'utf8')).cases;

function choicesOf(stdout: string): Choice[] {
  return jsonLines(stdout).flatMap(({ choice }) => (choice ? [choice] : []));
}

describe('fiddler run --beams', () => {
  const beams = ['run', golden.prompt, ...CPU, '--dtype', 'f32', '--beams', '4', '--max-tokens', '32'];

  it('gives the beams of the reference with their scores', async () => {
    const { code, stdout, stderr } = await fiddler([...beams, '--json']);
    expect(code, stderr).toBe(0);
    const choices = choicesOf(stdout);
    expect(choices.map(({ tokens }) => tokens)).toEqual(golden.beams);
    for (const [i, { score, finish }] of choices.entries()) {
      expect(score).toBeCloseTo(golden.beam_scores[i], 4);
      expect(finish).toBe('length');
    }
    expect(jsonLines(stdout).at(-1).reports).toMatchObject([{ promptTokens: 5, generatedTokens: 32 }]);
    const best = await fiddler(beams);
    expect(best.stdout).toBe(`${choices[0]!.text}\n`);
    expect(best.stderr).toMatch(/^decode +32 tokens, /m);
    const two = await fiddler([...beams, '--num-return', '2']);
    expect(two.stdout).toBe(
      `1. (score ${choices[0]!.score.toFixed(4)})\n${choices[0]!.text}\n\n2. (score ${choices[1]!.score.toFixed(4)})\n${choices[1]!.text}\n`,
    );
  });

  it('heeds the length penalty', async () => {
    const { stdout } = await fiddler([...beams, '--json', '--length-penalty', '-1', '--early-stopping', 'never']);
    for (const { score, logprob } of choicesOf(stdout)) expect(score).toBeCloseTo(logprob * 32, 3);
  });
});

describe('fiddler run --best-of', () => {
  const sampled = ['run', 'She', ...CPU, '--max-tokens', '12', '--seed', '5', '--best-of', '4'];

  it('prints the text of the largest mean log-probability, and gives all as JSON', async () => {
    const choices = choicesOf((await fiddler([...sampled, '--json'])).stdout);
    expect(choices).toHaveLength(4);
    const scores = choices.map(({ score }) => score);
    expect(scores).toEqual(scores.toSorted((a, b) => b - a));
    expect(new Set(choices.map(({ text }) => text)).size).toBeGreaterThan(1);
    const { code, stdout, stderr } = await fiddler(sampled);
    expect(code, stderr).toBe(0);
    expect(stdout).toBe(`${choices[0]!.text}\n`);
    expect(stderr).toMatch(/^4 texts with \d+ tokens in /m);
  });
});

it.each([
  [['--beams', '2', '--num-return', '3'], 'more than --beams'],
  [['--best-of', '2', '--num-return', '3'], 'more than --best-of'],
  [['--beams', '2', '--best-of', '3'], 'give one of them'],
  [['--beams', '2', '--stop', 'x'], 'without --stop'],
  [['--beams', '2', '--repetition-penalty', '1.1'], 'without --repetition-penalty'],
  [['--length-penalty', '2'], 'give --beams'],
  [['--best-of', '2', '--json', '--logprobs', '2'], '--logprobs'],
])('fiddler run %j is refused', async (args, said) => {
  const { code, stdout, stderr } = await fiddler(['run', 'She', ...args]);
  expect(code).toBe(2);
  expect(stdout).toBe('');
  expect(stderr).toContain(said);
});
