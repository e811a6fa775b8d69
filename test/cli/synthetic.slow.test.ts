import { describe, expect, it } from 'vitest';
import { FAMILIES, familyOf } from '../../src/models/index.js';
import { PUBLISHED } from '../../src/models/published/index.js';
import { fiddler, jsonLines, unwarned } from './fiddler.js';

/** One of each family, with so many layers that one of them has experts. */
const PLANNED: Record<string, number> = {
  'mixtral-8x7b': 1,
  'qwen1.5-moe-a2.7b': 1,
  'qwen3-30b-a3b': 1,
  'olmoe-1b-7b': 1,
  'phi-3.5-moe': 1,
  'deepseek-moe-16b': 2,
  'deepseek-v2-lite': 2,
  'deepseek-v3': 4,
  'gpt-oss-20b': 2,
  'granite-3.1-1b-a400m': 4,
  'glm-4.5-air': 2,
  'ernie-4.5-21b-a3b': 2,
  'openmoe-8b': 6,
  'switch-base-8': 2,
  'qwen3-vl-30b-a3b': 1,
  'glm-4.7-flash': 2,
  'laguna-xs.2': 2,
  'trinity-mini': 3,
  'gemma-4-26b-a4b': 1,
  'north-mini': 2,
};
/** A layer of each takes gigabytes, which would be filled: test/engine/published-run.slow.test.ts has them. */
const ELSEWHERE = [
  'dots.llm1',
  'k-exaone-236b-a23b',
  'hunyuan-a13b',
  'hy3',
  'mimo-v2-flash',
  'minimax-m2',
  'solar-open-100b',
  'kimi-linear-48b-a3b',
  'kimi-k2',
  'kimi-k2.5',
  'mistral-small-4',
  'qwen3-next-80b-a3b',
  'qwen3.5-35b-a3b',
  'deepseek-v3.2',
  'deepseek-v4-flash',
  'glm-5',
  'qwen3.8-flash-next',
  'lfm2-8b-a1b',
  'granite-4.0-h-tiny',
  'nemotron-3-nano-30b-a3b',
];
/** One layer of these takes more memory than a small machine has. */
const LARGE = ['deepseek-v3', 'glm-4.5-air', 'openmoe-8b'];

const SMALL = ['--accelerator', 'none', '--threads', '1', '--ctx', '64'];

describe('--synthetic of every family', () => {
  it('is tried for every family', () => {
    const tried = [...Object.keys(PLANNED), ...ELSEWHERE].map((name) => familyOf(PUBLISHED[name]!));
    expect(new Set(tried)).toEqual(new Set(FAMILIES));
  });

  it.each(Object.entries(PLANNED))('fiddler plan --synthetic %s --layers %d', async (name, layers) => {
    const shape = ['--synthetic', name, '--layers', `${layers}`, '--decode-at', '8', '--prompts', '16'];
    const { code, stdout, stderr } = await fiddler(['plan', ...shape, ...SMALL, '--json']);
    if (LARGE.includes(name) && stdout === '') {
      expect(code).toBe(1);
      expect(stderr).toMatch(/takes .* of RAM/);
      return;
    }
    expect(unwarned(stderr)).toBe('');
    const [plan] = jsonLines(stdout);
    // Where its rates are known already it is planned even so.
    const { total, available } = plan.memory.ram;
    expect(code).toBe(total > available ? 1 : 0);
    expect(plan.experts.total).toBeGreaterThan(0);
    for (const { decode } of plan.policies) expect(decode.ms).toBeGreaterThan(0);
  });

  const benched = Object.entries(PLANNED).filter(([name]) => !LARGE.includes(name));
  it.each(benched)('fiddler bench --synthetic %s --layers %d', async (name, layers) => {
    const shape = ['--synthetic', name, '--layers', `${layers}`, '--policies', 'static', '--repeats', '1'];
    const work = ['--decode-at', '8', '--decode-tokens', '2', '--prefill', '8'];
    const { code, stdout } = await fiddler(['bench', ...shape, ...work, ...SMALL, '--json']);
    expect(code).toBe(0);
    const [, ...measured] = jsonLines(stdout);
    expect(measured.map(({ kind }) => kind)).toEqual(['decode', 'prefill']);
    for (const { rate } of measured) expect(rate).toBeGreaterThan(0);
  });
});
