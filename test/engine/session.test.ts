import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadEngine } from '../../src/engine/load.js';
import type { Workbench } from '../../src/engine/workbench.js';
import { NO_COSTS } from '../../src/experts/costs.js';
import { policyNamed } from '../../src/experts/policies/index.js';
import type { Costs, Policy } from '../../src/experts/policy.js';
import type { Report } from '../../src/report.js';
import { fiddlerError } from '../support/errors.js';

const MODEL = 'test/golden/mixtral';
const CONTEXT = 64;
const never = () => false;

interface Generated {
  tokens: number[];
  /** Log-probabilities of the likeliest tokens at each step. */
  likeliest: number[];
  report: Report;
}

function generate(session: Workbench, prompt: readonly number[], maxTokens: number, cancelled = never): Generated {
  const tokens: number[] = [];
  const likeliest: number[] = [];
  const options = { temperature: 0, maxTokens, logprobs: 1 };
  const onToken = (token: number, top?: { logprob: number }[]) => {
    likeliest.push(top![0]!.logprob);
    return tokens.push(token) < 0;
  };
  return { tokens, likeliest, report: session.generate(prompt, options, onToken, cancelled) };
}

/** True from the n-th time it is asked on. */
function atCall(n: number): () => boolean {
  let calls = 0;
  return () => ++calls >= n;
}

const token = fc.integer({ min: 3, max: 319 });
const prompts = fc.array(token, { minLength: 1, maxLength: 40 });

describe.each(['none', 'host'] as const)('a session on %s', (accelerator) => {
  const load = () =>
    loadEngine(MODEL, { accelerator, dtype: 'f32', ctx: CONTEXT, expertsResident: 0.5, policy: 'static', threads: 1 });
  let session: Workbench;
  let fresh: Workbench;
  beforeAll(() => {
    session = load();
    fresh = load();
  });
  afterAll(() => {
    session.close();
    fresh.close();
  });

  /** What the prompt gives without anything in the KV cache. */
  function fromScratch(prompt: readonly number[], maxTokens: number): Generated {
    fresh.score([5], 0, () => {}, never); // computes from an empty cache
    return generate(fresh, prompt, maxTokens);
  }

  function expectSame(found: Generated, expected: Generated): void {
    expect(found.tokens).toEqual(expected.tokens);
    expect(found.report.finish).toBe(expected.report.finish);
    found.likeliest.forEach((logprob, i) => {
      expect(logprob).toBeCloseTo(expected.likeliest[i]!, 4);
    });
  }

  it('computes only what the KV cache does not hold, with the same result', () => {
    fc.assert(
      fc.property(prompts, prompts, prompts, (shared, first, second) => {
        const fits = (tokens: number[]) => tokens.slice(0, CONTEXT - 8);
        const [one, two] = [fits([...shared, 1, ...first]), fits([...shared, 2, ...second])];
        generate(session, one, 4);
        const again = generate(session, two, 4);
        expect(again.report.cachedTokens).toBe(Math.min(shared.length, two.length - 1));
        expectSame(again, fromScratch(two, 4));
      }),
      { numRuns: 20 },
    );
  });

  it('computes one token when asked the same again', () => {
    const prompt = [17, 42, 99, 100, 7];
    const first = generate(session, prompt, 6);
    const again = generate(session, prompt, 6);
    expect(again.report.cachedTokens).toBe(prompt.length - 1);
    expectSame(again, first);
  });

  it('continues a conversation from where it was', () => {
    const prompt = [11, 12, 13, 14];
    const { tokens } = generate(session, prompt, 5);
    const next = [...prompt, ...tokens, 200, 201];
    const continued = generate(session, next, 5);
    // The last token that was chosen is the one whose keys and values were not needed yet.
    expect(continued.report.cachedTokens).toBe(prompt.length + tokens.length - 1);
    expectSame(continued, fromScratch(next, 5));
  });

  it('ends between layers when it is cancelled, and is of use afterwards', () => {
    fc.assert(
      fc.property(prompts, fc.integer({ min: 1, max: 12 }), (prompt, calls) => {
        fc.pre(fromScratch(prompt, 7).report.finish === 'length'); // no end token before it is cancelled
        const cut = generate(session, prompt, 20, atCall(calls));
        expect(cut.report.finish).toBe('aborted');
        // Asked before it begins, then once in each of the two layers, the first time for the whole prompt.
        expect(cut.report.generatedTokens).toBe(Math.max(0, Math.floor((calls - 2) / 2)));
        expectSame(generate(session, prompt, 4), fromScratch(prompt, 4));
      }),
      { numRuns: 20 },
    );
  });

  it('fills its context to the last token and ends there', () => {
    const prompt = Array.from({ length: CONTEXT - 5 }, (_, i) => 3 + i);
    const { report, tokens } = generate(session, prompt, 1000);
    expect(report.finish).toBe('length');
    expect(tokens).toHaveLength(6); // the last one needs no place
    expect(generate(session, [...prompt, 9, 9, 9, 9, 9], 1000).tokens).toHaveLength(1);
    expectSame(generate(session, [7, 8, 9], 4), fromScratch([7, 8, 9], 4));
  });

  it('refuses more tokens than the context holds, and ids that are not in the vocabulary', () => {
    const long = Array.from({ length: CONTEXT + 1 }, () => 5);
    expect(fiddlerError('context', () => generate(session, long, 1))).toContain(`${CONTEXT}`);
    expect(fiddlerError('context', () => session.score(long, 0, () => {}, never))).toContain(`${CONTEXT}`);
    for (const id of [-1, 320, 1.5, Number.NaN]) fiddlerError('usage', () => generate(session, [5, id], 1));
    fiddlerError('usage', () => generate(session, [], 1));
  });

  it('scores each token with the probability that generation gives it', () => {
    const prompt = [31, 32, 33];
    const { tokens, likeliest } = generate(session, prompt, 6);
    const scored: (number | undefined)[] = [];
    const report = session.score([...prompt, ...tokens], 0, ({ logprob }) => scored.push(logprob), never);
    expect(scored[0]).toBeUndefined();
    expect(report.cachedTokens).toBe(0);
    likeliest.forEach((logprob, i) => {
      expect(scored[prompt.length + i]).toBeCloseTo(logprob, 4);
    });
  });

  it('counts each expert that a token was routed to', () => {
    const { report } = generate(session, [40, 41, 42, 43], 1);
    const { resident, streamed, cpu } = report.lanes;
    const before = session.usage.popularity.map((layer) => layer.reduce((a, b) => a + b, 0));
    generate(session, [50, 51, 52, 53], 1);
    const after = session.usage.popularity.map((layer) => layer.reduce((a, b) => a + b, 0));
    expect(after.map((count, l) => count - before[l]!)).toEqual([8, 8]); // four tokens, two experts each
    expect(streamed.experts).toBe(0);
    expect(resident.experts > 0).toBe(accelerator === 'host');
    expect(cpu.experts).toBeGreaterThan(0);
    expect(report.experts.hitRate).toBeCloseTo(resident.experts / (resident.experts + cpu.experts), 12);
  });
});

describe('lanes that work on one call together', () => {
  const prompt = Array.from({ length: 48 }, (_, i) => 3 + ((i * 37) % 4000));
  let session: Workbench;
  let expected: Generated;
  beforeAll(() => {
    session = loadEngine('models/mini-mixtral', {
      accelerator: 'host',
      dtype: 'f32',
      ctx: 128,
      expertsResident: 0.25,
      threads: 1,
    });
    session.use(policyNamed('static'));
    expected = generate(session, prompt, 8);
  });
  afterAll(() => session.close());

  const base: Costs = {
    ...NO_COSTS,
    cpu: (tokens) => tokens,
    copy: 5,
    accelerator: (tokens) => tokens / 10,
    overlap: false,
  };

  /** Generates anew by this policy and these costs. */
  function under(policy: Policy, costs: Costs): Generated {
    session.use(policy, costs);
    session.score([5], 0, () => {}, never);
    const found = generate(session, prompt, 8);
    expect(found.tokens).toEqual(expected.tokens);
    found.likeliest.forEach((logprob, i) => {
      expect(logprob).toBeCloseTo(expected.likeliest[i]!, 4);
    });
    return found;
  }

  it('give the same when experts with many tokens are streamed and those with few are computed on the CPU', () => {
    const { lanes } = under(policyNamed('fiddler'), base).report;
    for (const lane of Object.values(lanes)) expect(lane.experts).toBeGreaterThan(10);
  });

  it.each([0.4, 1, 3])('give the same when experts are divided between them (copy %f ms)', (copy) => {
    const policy = policyNamed('lanes');
    let divided = 0;
    const counting: Policy = {
      ...policy,
      decide(...args) {
        const plan = policy.decide(...args);
        divided += plan.filter(({ range }) => range).length / 2;
        return plan;
      },
    };
    const costs = { ...base, cpu: () => 1, copy, accelerator: () => 0.1, overlap: true };
    const { lanes, cache } = under(counting, costs).report;
    expect(divided).toBeGreaterThan(10);
    const whole = expected.report.lanes;
    const each = whole.cpu.bytes / whole.cpu.experts;
    expect(lanes.cpu.experts + lanes.streamed.experts).toBeCloseTo(whole.cpu.experts, 6);
    // What copies turn out to cost here may have a whole expert streamed, which a later token then finds in its slot.
    expect(lanes.cpu.bytes + lanes.streamed.bytes + cache.hits * each).toBeCloseTo(whole.cpu.bytes, 0);
    expect(lanes.resident.experts).toBe(whole.resident.experts);
  });
});
