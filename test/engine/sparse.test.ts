import { readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readGolden } from '../../bench/golden-data.js';
import { loadEngine } from '../../src/engine/load.js';
import { temporaryFolder } from '../support/folder.js';
import { sameAsAlone } from './batching.js';

/** Golden models whose attention an indexer limits, and how many positions it keeps there. */
const INDEXED = [
  ['qwen4_exp', 'indexer_budget', 16],
  ['deepseek_v32', 'index_topk', 16],
  ['glm_moe_dsa', 'index_topk', 16],
] as const;

/** The same model with another number of positions. */
function withBudget(name: string, key: string, budget: number): string {
  const dir = temporaryFolder();
  const from = resolve('test/golden', name);
  const config = JSON.parse(readFileSync(join(from, 'config.json'), 'utf8'));
  const text = config.text_config ?? config;
  expect(text[key]).toBeGreaterThan(0);
  text[key] = budget;
  writeFileSync(join(dir, 'config.json'), JSON.stringify(config));
  symlinkSync(join(from, 'model.safetensors'), join(dir, 'model.safetensors'));
  return dir;
}

/** Logits after each token of a prompt that is computed in chunks. */
function logitsOf(dir: string, tokens: readonly number[], chunk: number): Float32Array[] {
  const options = { dtype: 'f32', accelerator: 'none', ctx: 256, threads: 1, profile: false } as const;
  const session = loadEngine(dir, { ...options, chunk });
  const all: Float32Array[] = [];
  try {
    session.evaluate(
      tokens,
      () => false,
      (position, logits) => {
        all[position] = logits.slice();
      },
    );
  } finally {
    session.close();
  }
  return all;
}

function largest(a: readonly Float32Array[], b: readonly Float32Array[]): number[] {
  return a.map((row, t) => row.reduce((most, value, i) => Math.max(most, Math.abs(value - b[t]![i]!)), 0));
}

describe.each(INDEXED)('attention to what an indexer chooses: %s', (name, key, published) => {
  const { tokens } = readGolden('test/golden', 'models', name).cases[0]!;

  it.each([1, 100])(
    'is dense where it may choose all, and the same as choosing all, in calls of %d tokens',
    (chunk) => {
      const dense = logitsOf(withBudget(name, key, 256), tokens, chunk);
      const chosen = logitsOf(withBudget(name, key, tokens.length), tokens, chunk);
      expect(dense).toHaveLength(tokens.length);
      expect(Math.max(...largest(dense, chosen))).toBeLessThan(1e-4);
    },
  );

  it.each([1, 7, 64])('is the same in calls of %d tokens as in one', (chunk) => {
    const whole = logitsOf(`test/golden/${name}`, tokens, 256);
    expect(Math.max(...largest(whole, logitsOf(`test/golden/${name}`, tokens, chunk)))).toBeLessThan(1e-4);
  });

  it.each(['none', 'host'] as const)('gives each of several sequences what it gives alone on %s', (accelerator) => {
    sameAsAlone({ accelerator, model: `test/golden/${name}`, runs: 6, shared: 60, options: { ctx: 160 } });
  });

  it('differs from attention to all as soon as there is more than it keeps', () => {
    const dense = logitsOf(withBudget(name, key, 256), tokens, 64);
    const differences = largest(dense, logitsOf(withBudget(name, key, published), tokens, 64));
    expect(Math.max(...differences.slice(0, published))).toBeLessThan(1e-4);
    expect(Math.max(...differences.slice(published))).toBeGreaterThan(1e-3);
  });
});
