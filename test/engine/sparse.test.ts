import { readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readGolden } from '../../bench/golden-data.js';
import { temporaryFolder } from '../support/folder.js';
import { sameAsAlone } from './batching.js';
import { largest, logitsOf } from './evaluated.js';

/** Golden models whose attention an indexer limits, how many it keeps there, and the positions that each of these stands for. */
const INDEXED = [
  ['qwen4_exp', 'indexer_budget', 16, 1],
  ['deepseek_v32', 'index_topk', 16, 1],
  ['deepseek_v4', 'index_topk', 6, 4],
  ['glm_moe_dsa', 'index_topk', 16, 1],
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
const inCallsOf = (chunk: number, dir: string, tokens: readonly number[]) =>
  logitsOf(dir, tokens, { accelerator: 'none', ctx: 256, chunk });

describe.each(INDEXED)('attention to what an indexer chooses: %s', (name, key, published, every) => {
  const { tokens } = readGolden('test/golden', 'models', name).cases[0]!;

  it.each([1, 100])(
    'is dense where it may choose all, and the same as choosing all, in calls of %d tokens',
    (chunk) => {
      const dense = inCallsOf(chunk, withBudget(name, key, 256), tokens);
      const chosen = inCallsOf(chunk, withBudget(name, key, Math.ceil(tokens.length / every)), tokens);
      expect(dense).toHaveLength(tokens.length);
      expect(Math.max(...largest(dense, chosen))).toBeLessThan(1e-4);
    },
  );

  it.each([1, 7, 64])('is the same in calls of %d tokens as in one', (chunk) => {
    const whole = inCallsOf(256, `test/golden/${name}`, tokens);
    expect(Math.max(...largest(whole, inCallsOf(chunk, `test/golden/${name}`, tokens)))).toBeLessThan(1e-4);
  });

  it.each(['none', 'host'] as const)('gives each of several sequences what it gives alone on %s', (accelerator) => {
    sameAsAlone({ accelerator, model: `test/golden/${name}`, runs: 6, shared: 60, options: { ctx: 160 } });
  });

  it('differs from attention to all as soon as there is more than it keeps', () => {
    const dense = inCallsOf(64, withBudget(name, key, 256), tokens);
    const differences = largest(dense, inCallsOf(64, withBudget(name, key, published), tokens));
    expect(Math.max(...differences.slice(0, published * every))).toBeLessThan(1e-4);
    expect(Math.max(...differences.slice(published * every))).toBeGreaterThan(1e-3);
  });
});
