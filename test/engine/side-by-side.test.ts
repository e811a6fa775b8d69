import { afterAll, beforeAll, expect, it } from 'vitest';
import { loadEngine } from '../../src/engine/load.js';
import type { Workbench } from '../../src/engine/workbench.js';
import { FiddlerError } from '../../src/errors.js';
import type { GenerateOptions } from '../../src/options.js';
import type { Report } from '../../src/report.js';
import { fiddlerError } from '../support/errors.js';

const PROMPT = [5, 17, 42, 7, 99, 31, 8];
const OTHER = [200, 201, 202, 203, 204, 205];
const never = () => false;
let session: Workbench;
beforeAll(() => {
  const options = { accelerator: 'host', dtype: 'f32', ctx: 64, expertsResident: 0.5, policy: 'static' } as const;
  session = loadEngine('test/golden/mixtral', { ...options, sequences: 2, threads: 1 });
});
afterAll(() => session.close());

/** Begins an answer; its report is in the result once it has ended. */
function begin(prompt: readonly number[], maxTokens: number, cancelled = never): { report?: Report } {
  const ended: { report?: Report } = {};
  const options = { temperature: 0, maxTokens, ignoreEnd: true };
  session.begin({ prompt, options, onToken: never, cancelled }, (outcome) => Object.assign(ended, outcome));
  return ended;
}

function cachedOf(prompt: readonly number[]): number {
  const ended = begin(prompt, 1);
  while (session.advance());
  return ended.report!.cachedTokens;
}

function executions({ resident, streamed, cpu }: Report['lanes']): number {
  return resident.experts + streamed.experts + cpu.experts;
}

function allExecutions(): number {
  return session.usage.executions.reduce((sum, layer) => sum + layer.reduce((a, b) => a + b, 0), 0);
}

it('reports of what was computed at once add up to all of it', () => {
  const before = allExecutions();
  const answers = [begin(PROMPT, 12), begin(OTHER, 5)];
  const scores: Report[] = [];
  let calls = 0;
  while (session.advance()) {
    if (++calls === 7) session.whenFree(() => scores.push(session.score(OTHER, 0, () => {}, never)), never);
    if (calls === 9) answers.push(begin([9, 8], 6), begin([7, 6], 2));
  }
  expect(scores).toHaveLength(1);
  const reports = [...answers.map(({ report }) => report!), ...scores];
  for (const { lanes } of reports) expect(executions(lanes)).toBeGreaterThan(0);
  expect(reports.reduce((sum, { lanes }) => sum + executions(lanes), 0)).toBe(allExecutions() - before);
});

it('an answer that was cancelled before its turn computes nothing and leaves the KV cache as it is', () => {
  for (const prompt of [PROMPT, OTHER]) cachedOf(prompt);
  const before = allExecutions();
  const cancelled = begin([100, 101, 102], 5, () => true);
  while (session.advance());
  expect(cancelled.report!.finish).toBe('aborted');
  expect(executions(cancelled.report!.lanes)).toBe(0);
  expect(allExecutions()).toBe(before);
  expect([PROMPT, OTHER].map(cachedOf)).toEqual([PROMPT.length - 1, OTHER.length - 1]);
});

it('an answer does not wait for one that rests, though that holds most of its prompt', () => {
  const prompt = Array.from({ length: 20 }, (_, i) => 110 + i);
  const [written, options]: [number[], GenerateOptions] = [[], { temperature: 0, ignoreEnd: true }];
  let [awake, rested] = [false, false];
  const onToken = (token: number) => written.push(token) < 0;
  const rests = () => written.length === 3 && !awake;
  const slow = { prompt, options: { ...options, maxTokens: 5 }, onToken, cancelled: never, rests };
  session.begin(slow, () => (rested = awake));
  while (session.advance());
  const other = begin([...prompt, ...written, 9], 2);
  for (let calls = 0; calls < 10; calls++) session.advance();
  expect(other.report?.finish).toBe('length');
  awake = true;
  while (session.advance());
  expect([written.length, rested]).toEqual([5, true]);
});

it('a score that was cancelled while it waits ends before those that run', () => {
  const order: string[] = [];
  const running = [begin(PROMPT, 20), begin(OTHER, 20)];
  let stopped = false;
  session.advance();
  session.whenFree(
    () =>
      order.push(
        session.score(
          PROMPT,
          0,
          () => {},
          () => stopped,
        ).finish,
      ),
    () => stopped,
  );
  session.advance();
  expect(order).toEqual([]);
  stopped = true;
  session.advance();
  expect(order).toEqual(['aborted']);
  expect(running.map(({ report }) => report)).toEqual([undefined, undefined]);
  while (session.advance());
});

it('a score whose logits are not numbers, and a profile of no texts, leave what others have in the KV cache', () => {
  for (const prompt of [OTHER, PROMPT]) cachedOf(prompt);
  const numeric = new FiddlerError('numeric', 'not numbers', 'use others');
  fiddlerError('usage', () => session.profile([[]], () => {}, never));
  fiddlerError('numeric', () =>
    session.score(
      OTHER,
      0,
      ({ position }) => {
        if (position === 2) throw numeric;
      },
      never,
    ),
  );
  expect([PROMPT, OTHER].map(cachedOf)).toEqual([PROMPT.length - 1, 0]);
});

it('prompts that come at once are computed once, as far as they begin alike', () => {
  const prompt = Array.from({ length: 40 }, (_, i) => 3 + ((11 * i) % 200));
  const longer = [...prompt, 77, 78, 79];
  const alone = [prompt, longer].map((one) => tokensOf([one])[0]);
  session.forgetSequences();
  const [first, second, third] = [beginTokens(prompt), beginTokens(prompt), beginTokens(longer)];
  while (session.advance());
  expect([first, second, third].map(({ tokens }) => tokens)).toEqual([alone[0], alone[0], alone[1]]);
  expect([first, second, third].map(({ report }) => report!.cachedTokens)).toEqual([0, 39, 40]);
});

it('what waits for a prompt computes it where that was cancelled, alone too', () => {
  const prompt = Array.from({ length: 40 }, (_, i) => 3 + ((7 * i) % 200));
  const [expected] = tokensOf([prompt]);
  session.forgetSequences();
  let asked = 0;
  const cancelled = begin(prompt, 4, () => ++asked > 2);
  const waiting = beginTokens(prompt);
  while (session.advance());
  expect(cancelled.report!.finish).toBe('aborted');
  expect(waiting.tokens).toEqual(expected);
});

function beginTokens(prompt: readonly number[]): { tokens: number[]; report?: Report } {
  const answered: { tokens: number[]; report?: Report } = { tokens: [] };
  const options = { temperature: 0, maxTokens: 4, ignoreEnd: true };
  const onToken = (token: number) => answered.tokens.push(token) < 0;
  session.begin({ prompt, options, onToken, cancelled: never }, (outcome) => Object.assign(answered, outcome));
  return answered;
}

/** What each prompt gives alone, computed from its first token on. */
function tokensOf(prompts: readonly (readonly number[])[]): number[][] {
  return prompts.map((prompt) => {
    session.forgetSequences();
    const answered = beginTokens(prompt);
    while (session.advance());
    return answered.tokens;
  });
}
