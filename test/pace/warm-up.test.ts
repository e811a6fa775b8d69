import { describe, expect, it } from 'vitest';
import { loadEngine } from '../../src/engine/load.js';
import type { LoadOptions } from '../../src/options.js';

const never = () => false;
const prompt = [7, 21, 63, 189, 55, 165];

function generate(model: string, options: LoadOptions, warm: boolean) {
  const session = loadEngine(model, { dtype: 'f32', ctx: 64, threads: 1, profile: false, ...options });
  try {
    const { loadSeconds } = session.info;
    if (warm) {
      session.warmUp();
      expect(session.info.loadSeconds).toBeGreaterThan(loadSeconds);
      const { popularity, executions } = session.usage;
      expect([...popularity, ...executions].every((counts) => counts.every((n) => n === 0))).toBe(true);
      expect(Object.values(session.lanes).every(({ experts }) => experts === 0)).toBe(true);
    }
    const tokens: number[] = [];
    const report = session.generate(prompt, { temperature: 0, maxTokens: 8 }, (t) => tokens.push(t) < 0, never);
    const { popularity } = session.usage;
    return { tokens, cached: report.cachedTokens, popularity: popularity.map((counts) => [...counts]) };
  } finally {
    session.close();
  }
}

describe('a model that was warmed up', () => {
  it.each([
    ['a decoder in place', 'test/golden/mixtral', { accelerator: 'none' }],
    ['a decoder with streamed experts', 'test/golden/mixtral', { accelerator: 'host', policy: 'stream' }],
    ['one with dense layers first', 'test/golden/deepseek_v3', { accelerator: 'host', policy: 'lanes' }],
    ['an encoder-decoder', 'test/golden/switch', { accelerator: 'host', policy: 'lanes' }],
    ['one with exchanges of experts', 'test/golden/mixtral', { accelerator: 'host', rebalance: true }],
  ] as const)('answers as one that was not: %s', (_, model, options) => {
    const given = { expertsResident: 0.5, ...options };
    expect(generate(model, given, true)).toEqual(generate(model, given, false));
  });
});
