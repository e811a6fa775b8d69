import { describe, expect, it } from 'vitest';
import { loadEngine } from '../../src/engine/load.js';
import type { BeamQuestion } from '../../src/engine/question.js';
import type { Workbench } from '../../src/engine/workbench.js';
import type { Report } from '../../src/report.js';
import { BeamSearch, type FoundAnswer } from '../../src/sampling/beam-search.js';
import { topLogprobs } from '../../src/sampling/logprobs.js';
import { fiddlerError } from '../support/errors.js';
import { goldenBeams, search } from './beams.js';

const never = () => false;
const PROMPT = [5, 17, 42, 7, 99, 31, 8];
const SIZES = { dtype: 'f32', ctx: 64, threads: 1, profile: false } as const;

/** The same search over logits that are computed anew for each text. */
function searchAlone(
  session: Workbench,
  prompt: readonly number[],
  { beams, lengthPenalty = 1, earlyStopping = false, maxTokens = 8 }: BeamQuestion['options'],
  start?: number,
): readonly FoundAnswer[] {
  const searching = new BeamSearch({ beams, lengthPenalty, earlyStopping, ends: session.endTokens, most: maxTokens });
  const next = ({ tokens }: { tokens: readonly number[] }) => {
    let last!: Float32Array;
    const text = start === undefined ? [...prompt, ...tokens] : [start, ...tokens];
    session.evaluate(
      text,
      never,
      (_, logits) => {
        last = logits;
      },
      start === undefined ? undefined : prompt,
    );
    return topLogprobs(last, searching.wanted);
  };
  while (searching.step(searching.beams.map(next)));
  return searching.found;
}

function expectSame(found: readonly FoundAnswer[], expected: readonly FoundAnswer[]): void {
  expect(found.map(({ tokens }) => tokens)).toEqual(expected.map(({ tokens }) => tokens));
  for (const [i, { score }] of found.entries()) expect(score).toBeCloseTo(expected[i]!.score, 4);
}

describe.each(['none', 'host'] as const)('beams on %s', (accelerator) => {
  it('are those of the reference, and score as there', () => {
    goldenBeams({ accelerator });
  });

  it.each([
    ['mixtral', 'of one cache', undefined],
    ['gpt_oss', 'with windows', undefined],
    ['deepseek_v3', 'whose keys are latent', undefined],
    ['qwen3_next', 'with recurrent states', undefined],
    ['nemotron_h', 'with one kind of block a layer', undefined],
    ['switch', 'behind an encoder', 0],
  ])('of %s, %s, are what each text alone has them be', (name, _, start) => {
    const session = loadEngine(`test/golden/${name}`, { ...SIZES, accelerator, sequences: 5 });
    try {
      for (const prompt of [PROMPT, PROMPT.slice(0, 5), [...PROMPT, 9]]) {
        const options = { beams: 5, n: 5, maxTokens: 8, lengthPenalty: 0.5, earlyStopping: 'never' } as const;
        expectSame(search(session, prompt, options).found, searchAlone(session, prompt, options, start));
      }
    } finally {
      session.close();
    }
  });
});

describe('a search', () => {
  it('goes on beside answers, which are what they are alone, waits for room, and lets nobody pass meanwhile', () => {
    const session = loadEngine('test/golden/mixtral', { ...SIZES, accelerator: 'none', sequences: 3 });
    const options = { beams: 2, n: 2, maxTokens: 12 } as const;
    const others = [
      [200, 201, 202],
      [9, 8, 7, 6],
      [30, 31],
    ];
    const answer = (prompt: number[], ended: (report: Report) => void): number[] => {
      const tokens: number[] = [];
      const greedy = { temperature: 0, maxTokens: 10, ignoreEnd: true };
      const onToken = (token: number) => tokens.push(token) < 0;
      session.begin({ prompt, options: greedy, onToken, cancelled: never }, (outcome) =>
        ended((outcome as { report: Report }).report),
      );
      return tokens;
    };
    const alone = others.map((prompt) => {
      const tokens = answer(prompt, () => {});
      while (session.advance());
      return tokens;
    });
    const expected = searchAlone(session, PROMPT, options);
    const order: string[] = [];
    const before = others.slice(0, 2).map((prompt, i) => answer(prompt, () => order.push(`answer ${i}`)));
    let found: readonly FoundAnswer[] = [];
    session.search({ prompt: PROMPT, options, cancelled: never }, (_, best) => {
      found = best;
      order.push('beams');
    });
    const behind = answer(others[2]!, () => order.push('answer 2'));
    while (session.advance());
    expect([...before, behind]).toEqual(alone);
    expectSame(found, expected);
    expect(order.slice(0, 2).toSorted()).toEqual(['answer 0', 'answer 1']);
    session.close();
  });

  it('that is cancelled gives all its sequences back, and the next one finds what it would', () => {
    const session = loadEngine('test/golden/mixtral', { ...SIZES, accelerator: 'host', sequences: 3 });
    const options = { beams: 3, n: 3, maxTokens: 10 } as const;
    const expected = searchAlone(session, PROMPT, options);
    for (const at of [1, 5, 14]) {
      let asked = 0;
      expect(search(session, PROMPT, options, () => ++asked > at).report.finish).toBe('aborted');
      expectSame(search(session, PROMPT, options).found, expected);
    }
    session.close();
  });

  it('is refused where it has more beams than the model has sequences, or is to give more answers than beams', () => {
    const session = loadEngine('test/golden/mixtral', { ...SIZES, accelerator: 'none', sequences: 2 });
    fiddlerError('usage', () => search(session, PROMPT, { beams: 3 }));
    fiddlerError('usage', () => search(session, PROMPT, { beams: 2, n: 3 }));
    expect(search(session, PROMPT, { beams: 2, maxTokens: 3 }).found).toHaveLength(1);
    session.close();
  });
});
