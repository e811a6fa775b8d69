import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { benchmark, contenderName, contendersOf, type Measurement } from '../../src/engine/benchmark.js';
import { loadSource } from '../../src/engine/load.js';
import type { Workbench } from '../../src/engine/workbench.js';
import { POLICIES, policyNamed } from '../../src/experts/policies/index.js';
import { folderSource } from '../../src/loading/source.js';

const names = POLICIES.map(({ name }) => name);
const source = folderSource('test/golden/mixtral');
const EXPERT = 3 * 64 * 64 * 4;
const host = { accelerator: 'host', dtype: 'f32', ctx: 64, threads: 1, cpuKernels: 'ggml' } as const;

describe('a comparison of policies', () => {
  it('names what is compared, and switches only for policies that stream', () => {
    expect(contendersOf(names, false).map(contenderName)).toEqual(names);
    expect(contendersOf(['static', 'lru'], true).map(contenderName)).toEqual([
      'static',
      'lru',
      'lru +cache',
      'lru +prefetch',
      'lru +cache +prefetch',
    ]);
  });

  describe('with the expert cache and prefetch on and off', () => {
    let session: Workbench;
    let found: Measurement[];
    beforeAll(() => {
      const options = { ...host, expertsResident: 0.25, expertCache: 16 * EXPERT, prefetch: true };
      session = loadSource(source, options, names.map(policyNamed));
      const workloads = [{ kind: 'decode', tokens: 12, past: 8 } as const];
      found = benchmark(session, { contenders: contendersOf(names, true), workloads, repeats: 1, patience: 1e3 });
    });
    afterAll(() => session.close());

    it('prefetches and finds in the cache just where that is switched on', () => {
      for (const { policy, cache, prefetch, saved, lanes } of found) {
        const what = contenderName({ policy, cache, prefetch });
        // Little is left to copy ahead where the cache holds nearly all.
        const useful = saved.usefulPrefetches > 0;
        const streamed = lanes.streamed.experts > 0;
        if (!prefetch || (!cache && !streamed)) expect(useful, what).toBe(false);
        // What is decided by measured costs may be streamed by parts only, which are not copied ahead.
        else if (!cache && !policyNamed(policy).byCost) expect(useful, what).toBe(true);
        if (policy === 'stream' || policy === 'lru') {
          // Two slots are a small cache too.
          if (cache) expect(saved.hits, what).toBeGreaterThan(0.8 * lanes.streamed.experts);
          else expect(saved.hits - saved.usefulPrefetches, what).toBeLessThan(0.5 * lanes.streamed.experts);
        }
      }
    });
  });

  it('has room for prefetch where a compared policy prefetches', () => {
    const session = loadSource(source, { ...host, expertsResident: 0 }, names.map(policyNamed));
    const workloads = [{ kind: 'decode', tokens: 12, past: 8 } as const];
    const found = benchmark(session, { contenders: contendersOf(names, false), workloads, repeats: 1, patience: 1e3 });
    for (const { policy, saved } of found) expect(saved.usefulPrefetches > 0, policy).toBe(policy === 'lru');
    session.close();
  });
});

it('gives all contenders the same prompts, each in another order, and none one twice', () => {
  const session = loadSource(source, { ...host, expertsResident: 0.5 }, names.map(policyNamed));
  const asked = new Map<string, string[]>();
  const prefill = session.prefill.bind(session);
  session.prefill = (tokens, ...rest) => {
    const { policy } = session.info;
    asked.set(policy, [...(asked.get(policy) ?? []), tokens.join()]);
    return prefill(tokens, ...rest);
  };
  const workloads = [{ kind: 'prefill', tokens: 6, past: 0 } as const];
  benchmark(session, { contenders: contendersOf(names, false), workloads, repeats: 4, patience: 1e3 });
  session.close();
  const counted = [...asked.values()].map(([, ...prompts]) => prompts); // the first is not counted
  expect(counted).toHaveLength(names.length);
  for (const prompts of counted) expect([...new Set(prompts)].sort()).toEqual([...counted[0]!].sort());
  for (const [i, prompts] of counted.entries()) if (i > 0) expect(prompts).not.toEqual(counted[i - 1]);
});

describe('several sequences at once', () => {
  it('run each expert once for all of them in a call', () => {
    const session = loadSource(source, { ...host, sequences: 8, expertsResident: 0.25 }, [policyNamed('static')]);
    const workloads = [1, 8].map((sequences) => ({ kind: 'decode', tokens: 6, past: 8, sequences }) as const);
    const [one, eight] = benchmark(session, {
      contenders: [{ policy: 'static' }],
      workloads,
      repeats: 1,
      patience: 1e3,
    });
    const { layers } = session.info;
    expect(one!.expertsPerStep).toBe(2 * layers);
    expect(eight!.expertsPerStep).toBeGreaterThan(2 * layers);
    expect(eight!.expertsPerStep).toBeLessThanOrEqual(8 * layers);
    expect(eight!.expertBytesPerToken).toBeLessThan(one!.expertBytesPerToken);
    expect(eight!.rate).toBeCloseTo(48 / eight!.seconds.median, 6);
    session.close();
  });

  it('give each the logits that it has alone', () => {
    const session = loadSource(source, { ...host, sequences: 40 }, [policyNamed('static')]);
    const { vocabulary } = session.info;
    const tokens = Array.from({ length: 40 }, (_, i) => 5 + i);
    const together = session.stepTogether(tokens, 0);
    expect(together).toHaveLength(40 * vocabulary);
    for (const [i, token] of tokens.entries()) {
      const alone = session.step([token], 0);
      const found = together.subarray(i * vocabulary, (i + 1) * vocabulary);
      expect(Math.max(...alone.map((x, v) => Math.abs(x - found[v]!)))).toBeLessThan(1e-5);
    }
    session.close();
  });
});

describe('the work of a prompt', () => {
  it('is that of all its calls, and gives the logits after its last token', () => {
    const session = loadSource(source, { ...host, ctx: 1024, expertsResident: 0.5, policy: 'static' });
    try {
      const tokens = Array.from({ length: 700 }, (_, i) => (i * 31) % session.info.vocabulary);
      let last: Float32Array | undefined;
      const onLogits = (position: number, logits: Float32Array) => {
        if (position === tokens.length - 1) last = logits.slice();
      };
      session.evaluate(tokens, () => false, onLogits);
      const logits = session.prefill(tokens, 0);
      // Rows of logits that are computed together round otherwise than one alone.
      logits.forEach((logit, i) => void expect(logit).toBeCloseTo(last![i]!, 4));
    } finally {
      session.close();
    }
  });
});
