import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadEngine } from '../../src/engine/load.js';
import type { Workbench } from '../../src/engine/workbench.js';
import type { Report } from '../../src/report.js';
import { fiddlerError } from '../support/errors.js';

const MODEL = 'test/golden/switch';
const CONTEXT = 48;
const never = () => false;

interface Answer {
  tokens: number[];
  likeliest: number[];
  report: Report;
}

function answer(session: Workbench, prompt: readonly number[], maxTokens: number, cancelled = never): Answer {
  const tokens: number[] = [];
  const likeliest: number[] = [];
  // A penalty for what was said makes it say something else each time.
  const options = { temperature: 0, maxTokens, logprobs: 1, repetitionPenalty: 3 };
  const onToken = (token: number, top?: { logprob: number }[]) => {
    likeliest.push(top![0]!.logprob);
    return tokens.push(token) < 0;
  };
  return { tokens, likeliest, report: session.generate(prompt, options, onToken, cancelled) };
}

function atCall(n: number): () => boolean {
  let calls = 0;
  return () => ++calls >= n;
}

const prompts = fc.array(fc.integer({ min: 2, max: 319 }), { minLength: 1, maxLength: CONTEXT });

it('has the encoder read a prompt whatever becomes of the one before it', () => {
  const session = loadEngine(MODEL, { accelerator: 'none', dtype: 'f32', ctx: CONTEXT, sequences: 2, threads: 1 });
  const prompt = [40, 41, 42, 43, 44, 45];
  const expected = answer(session, prompt, 6);
  session.forgetSequences();
  const found: number[] = [];
  const finishes: string[] = [];
  const options = { temperature: 0, maxTokens: 6, repetitionPenalty: 3 };
  const begin = (of: number[], onToken: (token: number) => boolean, cancelled: () => boolean) =>
    session.begin({ prompt: of, options, onToken, cancelled }, (end) =>
      finishes.push('error' in end ? end.error.message : end.report.finish),
    );
  let encoding = 0;
  begin(
    prompt.toReversed(),
    () => false,
    () => ++encoding > 3,
  );
  begin(prompt, (token) => found.push(token) < 0, never);
  while (session.advance());
  expect(finishes).toEqual(['aborted', 'length']);
  expect(found).toEqual(expected.tokens);
  session.close();
});

describe.each(['none', 'host'] as const)('a session with an encoder-decoder on %s', (accelerator) => {
  const options = {
    accelerator,
    dtype: 'f32',
    ctx: CONTEXT,
    expertsResident: 0.5,
    policy: 'static',
    threads: 1,
  } as const;
  let session: Workbench;
  let fresh: Workbench;
  beforeAll(() => {
    session = loadEngine(MODEL, options);
    fresh = loadEngine(MODEL, options);
  });
  afterAll(() => {
    session.close();
    fresh.close();
  });

  /** The answer of a session that has read something else. */
  function fromScratch(prompt: readonly number[], maxTokens: number): Answer {
    answer(fresh, [...prompt.slice(1), 318 - (prompt[0]! % 300)], 1);
    return answer(fresh, prompt, maxTokens);
  }

  function expectSame(found: Answer, expected: Answer): void {
    expect(found.tokens).toEqual(expected.tokens);
    expect(found.report.finish).toBe(expected.report.finish);
    found.likeliest.forEach((logprob, i) => {
      expect(logprob).toBeCloseTo(expected.likeliest[i]!, 4);
    });
  }

  it('gives the same answer whatever it read before, and reads the same prompt once', () => {
    fc.assert(
      fc.property(prompts, prompts, (one, two) => {
        answer(session, one, 3);
        const found = answer(session, two, 5);
        expect(found.report.promptTokens).toBe(two.length);
        expectSame(found, fromScratch(two, 5));
        const again = answer(session, two, 7);
        expect(again.report.cachedTokens).toBe(two.length);
        expectSame(again, fromScratch(two, 7));
      }),
      { numRuns: 15 },
    );
  });

  it('answers otherwise to another order of the same tokens', () => {
    const prompt = [40, 41, 42, 43, 44, 45];
    expect(answer(session, prompt, 4).likeliest).not.toEqual(answer(session, prompt.toReversed(), 4).likeliest);
  });

  it('gives the probabilities that the whole answer in one call has', () => {
    const prompt = [31, 32, 33, 34, 35];
    const { tokens } = answer(session, prompt, 6);
    const [start, best] = [0, [] as number[]];
    session.evaluate([start, ...tokens], never, (_, logits) => best.push(logits[tokens[0]!]!), prompt);
    const single: number[] = [];
    tokens.forEach((_, i) => {
      const part = [start, ...tokens.slice(0, i)];
      session.evaluate(part, never, (position, logits) => position === i && single.push(logits[tokens[0]!]!), prompt);
    });
    single.forEach((logit, i) => {
      expect(logit).toBeCloseTo(best[i]!, 4);
    });
  });

  it('ends between layers of both when it is cancelled, and is of use afterwards', () => {
    fc.assert(
      fc.property(prompts, fc.integer({ min: 1, max: 16 }), (prompt, calls) => {
        answer(session, [3, ...prompt.slice(1, 20), 5], 1);
        const cut = answer(session, prompt, 20, atCall(calls));
        expect(cut.report.finish).toBe('aborted');
        // Asked before it begins, then once in each of four layers of the encoder, then in four of the decoder for each token.
        expect(cut.report.generatedTokens).toBe(Math.max(0, Math.floor((calls - 2) / 4) - 1));
        expectSame(answer(session, prompt, 4), fromScratch(prompt, 4));
      }),
      { numRuns: 15 },
    );
  });

  it('writes as many tokens as its context holds, whatever the prompt', () => {
    const prompt = Array.from({ length: CONTEXT }, (_, i) => 3 + i);
    const { report, tokens } = answer(session, prompt, 1000);
    expect(report.finish).toBe('length');
    expect(tokens).toHaveLength(CONTEXT); // beside the start token; the last one needs no place
  });

  it('refuses longer prompts, ids that are not in the vocabulary, and scoring', () => {
    const long = Array.from({ length: CONTEXT + 1 }, () => 5);
    expect(fiddlerError('context', () => answer(session, long, 1))).toContain(`${CONTEXT}`);
    for (const id of [-1, 320]) fiddlerError('usage', () => answer(session, [5, id], 1));
    fiddlerError('usage', () => answer(session, [], 1));
    expect(fiddlerError('unsupported', () => session.score([5, 6], 0, () => {}, never))).toContain('encoder-decoder');
  });

  it('numbers the layers with experts of the encoder before those of the decoder', () => {
    const sums = () => session.usage.popularity.map((layer) => layer.reduce((a, b) => a + b, 0));
    const before = sums();
    answer(session, [50, 51, 52, 53, 54, 55, 56], 3);
    expect(sums().map((sum, l) => sum - before[l]!)).toEqual([7, 7, 3, 3]);
  });

  it('counts experts over texts that are prompt and answer at once', () => {
    const text = [60, 61, 62, 63, 64, 65, 66, 67, 68];
    const { counts } = session.profile([text, text.slice(0, 2)], () => {}, never)!;
    expect(counts.map((layer) => Array.from(layer).reduce((a, b) => a + b, 0))).toEqual([11, 11, 11, 11]);
    expectSame(answer(session, text, 4), fromScratch(text, 4));
  });

  it('has made-up steps and prompts for benchmarks', () => {
    expect(session.step([1], 20).every(Number.isFinite)).toBe(true);
    expect(session.step([1], 0).every(Number.isFinite)).toBe(true);
    expect(session.prefill([1, 2, 3, 4], 0).every(Number.isFinite)).toBe(true);
    expectSame(answer(session, [9, 8, 7], 4), fromScratch([9, 8, 7], 4));
  });
});
