import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { prepareEnvironment } from '../../src/devices/environment.js';
import { loadEngine } from '../../src/engine/load.js';
import type { Workbench } from '../../src/engine/workbench.js';
import { fiddler, jsonLines } from '../cli/fiddler.js';
import { writeBundled } from '../support/bundled-gguf.js';
import { quantize } from '../support/llama.js';

interface Case {
  prompt: string;
  input_ids: number[];
  /** Of the dequantized weights in float32. */
  greedy: number[];
}

const { cases }: { cases: Case[] } = JSON.parse(readFileSync('test/gguf/mini-mixtral-Q4_K_M.json', 'utf8'));
/** llama.cpp's own arithmetic gives 1.3e-4 and 7.6e-4 here. */
const LARGEST_NMSE = 3e-4;
/** A logit is off by less than so many times their root mean square error, as normally distributed errors are. */
const DEVIATIONS = 4;

prepareEnvironment({ dtype: 'f32' });

const dir = mkdtempSync(join(tmpdir(), 'fiddler-gguf-'));
const file = join(dir, 'mini-mixtral-Q4_K_M.gguf');
beforeAll(() => {
  const whole = join(dir, 'mini-mixtral-BF16.gguf');
  writeBundled(whole);
  quantize(whole, file, 'Q4_K_M', false);
});
afterAll(() => rmSync(dir, { recursive: true }));

describe('the bundled model in Q4_K_M', () => {
  it.each(cases)('tells what its dequantized weights tell in float32: $prompt …', async ({ prompt, greedy }) => {
    const settings = [
      '--dtype',
      'f32',
      '--temperature',
      '0',
      '--max-tokens',
      `${greedy.length}`,
      '--accelerator',
      'none',
    ];
    const { code, stdout, stderr } = await fiddler([
      'run',
      '-m',
      file,
      prompt,
      ...settings,
      '--threads',
      '1',
      '--json',
    ]);
    expect(code, stderr).toBe(0);
    const lines = jsonLines(stdout);
    expect(lines.pop().report.experts.types).toBe('F32');
    expect(lines.map(({ token }) => token)).toEqual(greedy);
  });

  it.each(cases)('differs in its stored types where two tokens nearly tie alone: $prompt …', (each) => {
    const { input_ids: ids, greedy } = each;
    const exact = open('f32');
    const expected = logits(exact, [...ids, ...greedy]);
    exact.close();
    const quantized = open('auto');
    const found = logits(quantized, [...ids, ...greedy]);
    const told: number[] = [];
    quantized.generate(ids, { temperature: 0, maxTokens: greedy.length }, (token) => told.push(token) < 0, never);
    quantized.close();

    const errors = expected.flatMap((row, p) => [...row].map((x, i) => (found[p]![i]! - x) ** 2));
    const squares = expected.flatMap((row) => [...row].map((x) => x * x));
    expect(sum(errors) / sum(squares)).toBeLessThan(LARGEST_NMSE);
    const undecided = 2 * DEVIATIONS * Math.sqrt(sum(errors) / errors.length);
    const decided = expected.flatMap((row, p) => (margin(row) > undecided ? [p] : []));
    expect(decided.length).toBeGreaterThan(expected.length / 2);
    expect(decided.map((p) => best(found[p]!))).toEqual(decided.map((p) => best(expected[p]!)));
    const first = told.findIndex((token, i) => token !== greedy[i]);
    if (first >= 0) expect(margin(expected[ids.length + first - 1]!)).toBeLessThan(undecided);
  });
});

const never = () => false;

function open(dtype: 'f32' | 'auto'): Workbench {
  return loadEngine(file, { accelerator: 'none', dtype, ctx: 128, profile: false, policy: 'static', threads: 1 });
}

function logits(session: Workbench, tokens: readonly number[]): Float32Array[] {
  const rows: Float32Array[] = [];
  session.evaluate(tokens, never, (_, row) => rows.push(row.slice()));
  return rows;
}

/** Distance of the two largest. */
function margin(row: Float32Array): number {
  const [first, second] = row.toSorted((a, b) => b - a);
  return first! - second!;
}

const best = (row: Float32Array) => row.indexOf(Math.max(...row));
const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
