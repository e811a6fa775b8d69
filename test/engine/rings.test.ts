import { describe, expect, it } from 'vitest';
import type { LoadOptions } from '../../src/options.js';
import { numbersFrom } from '../support/numbers.js';
import { sameAsAlone } from './batching.js';
import { largest, logitsOf } from './evaluated.js';

/** Families of which some layers have a sliding window; of 16 tokens in their golden models. */
const FAMILIES = ['afmoe', 'cohere2_moe', 'deepseek_v4', 'exaone_moe', 'gemma4', 'gpt_oss', 'laguna', 'mimo_v2_flash'];
const folder = (name: string) => `test/golden/${name}`;
/** All tokens in a call: every layer keeps rows for all of them. */
const PLAIN: LoadOptions = { ctx: 256, chunk: 256 };

describe('a text that is longer than the rings of the KV cache', () => {
  const next = numbersFrom(1);
  const tokens = Array.from({ length: 200 }, () => 3 + Math.floor(next() * 250));

  it.each(FAMILIES)('gives the same in calls of 1, 7 and 64 tokens as in one: %s', (name) => {
    const expected = logitsOf(folder(name), tokens, { ...PLAIN, accelerator: 'none' });
    for (const [accelerator, chunk] of [
      ['none', 1],
      ['none', 7],
      ['host', 7],
      ['none', 64],
    ] as const) {
      const found = logitsOf(folder(name), tokens, { ctx: 256, accelerator, chunk });
      expect(found).toHaveLength(tokens.length);
      expect(Math.max(...largest(found, expected))).toBeLessThan(1e-3);
    }
  });
});

describe('what shares rings with other texts, is gone back in, copied or cancelled', () => {
  it.each(['deepseek_v4', 'gemma4', 'gpt_oss'])(
    'gives what it gives from an empty KV cache with rows for all tokens: %s',
    (name) => {
      const options: LoadOptions = { ctx: 256, chunk: 16, expertCache: 0 };
      const which = { accelerator: 'none', model: folder(name), runs: 12, options, alone: PLAIN } as const;
      expect.hasAssertions();
      sameAsAlone({ ...which, longest: 60, shared: 120 });
      sameAsAlone({ ...which, longest: 100 });
    },
  );
});
