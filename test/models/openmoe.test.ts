import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { loadEngine } from '../../src/engine/load.js';
import type { Workbench } from '../../src/engine/workbench.js';
import type { LoadOptions } from '../../src/options.js';
import { NaiveOpenMoe } from './naive-openmoe.js';

const DIR = 'test/golden/openmoe';
const naive = new NaiveOpenMoe(DIR);
const golden = JSON.parse(readFileSync(`${DIR}/expected.json`, 'utf8'));
const never = () => false;

function withSession<T>(options: LoadOptions, use: (session: Workbench) => T): T {
  const session = loadEngine(DIR, { dtype: 'f32', threads: 1, ctx: 256, ...options });
  try {
    return use(session);
  } finally {
    session.close();
  }
}

function evaluate(session: Workbench, tokens: readonly number[]): number[] {
  const all: number[] = [];
  session.evaluate(tokens, never, (_, logits) => all.push(...logits));
  return all;
}

function largestDifference(ours: readonly number[], expected: readonly number[]): number {
  expect(ours.length).toBe(expected.length);
  return Math.max(...ours.map((x, i) => Math.abs(x - expected[i]!)));
}

describe('OpenMoE', () => {
  const settings: LoadOptions[] = [
    { accelerator: 'none' },
    { accelerator: 'host', expertsResident: 0.5, policy: 'lanes' },
    { accelerator: 'host', expertsResident: 0, policy: 'stream' },
  ];

  it.each(settings)('leaves out what exceeds an expert’s capacity: %j', (options) => {
    withSession(options, (session) => {
      const drops = (golden.prefix_lengths_that_would_drop as number[]).map((length) => {
        const prompt = golden.input_ids.slice(0, length);
        const expected = naive.logits(prompt).flat();
        expect(largestDifference(evaluate(session, prompt), expected)).toBeLessThan(1e-3 * 7);
        return naive.dropped;
      });
      for (const dropped of drops) expect(dropped).toBeGreaterThan(0);
    });
  });

  it('leaves out nothing of the golden prompt', () => {
    naive.logits(golden.input_ids);
    expect(naive.dropped).toBe(0);
  });

  /** The same token over and over: all take the same experts, which overflow. */
  const long = Array.from({ length: 700 }, (_, i) => (i % 40 === 0 ? 3 + (i % 7) : 17));

  it('computes a long prompt in one call', () => {
    const dropped = withSession({ accelerator: 'none', ctx: 768 }, (session) => {
      const calls: { tokens: number; dropped: number }[] = [];
      session.observeRouters((_, __, ___, { tokens, experts }) => {
        calls.push({ tokens, dropped: experts.subarray(0, 2 * tokens).filter((e) => e < 0).length });
      });
      session.evaluate(long, never, () => {});
      expect(calls.map(({ tokens }) => tokens)).toEqual([long.length, long.length]);
      return calls.map((call) => call.dropped);
    });
    for (const count of dropped) expect(count).toBeGreaterThan(0);
  });

  it('computes a prompt as a whole whatever was computed before', () => {
    const prompt = golden.input_ids.slice(0, 10);
    withSession({ accelerator: 'none' }, (session) => {
      const first = (tokens: number[]) => {
        let top: unknown;
        const onToken = (_: number, candidates: unknown) => {
          top = candidates;
          return false;
        };
        session.generate(tokens, { temperature: 0, maxTokens: 1, logprobs: 4 }, onToken, never);
        return top;
      };
      const expected = first(prompt);
      first(golden.input_ids);
      expect(first(prompt)).toEqual(expected);
      first(prompt.slice(0, 9));
      expect(first(prompt)).toEqual(expected);
    });
  });
});
