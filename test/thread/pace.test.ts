import { afterAll, beforeAll, expect, it } from 'vitest';
import { load, type Model } from '#fiddler/index.js';

let model: Model;
beforeAll(async () => {
  const options = { accelerator: 'none', dtype: 'f32', sequences: 2, learn: false, profile: false } as const;
  model = await load('models/mini-mixtral', options);
});
afterAll(() => model.close());

const options = { temperature: 0, maxTokens: 120, ignoreEnd: true };

async function all(tokens: AsyncIterable<{ token: number }>): Promise<number[]> {
  const found: number[] = [];
  for await (const { token } of tokens) found.push(token);
  return found;
}

it('an answer rests while its reader does, others go on, and it ends as it would have', async () => {
  const expected = await all(model.generate('Once upon a time', options).tokens());
  const slow = model.generate('Once upon a time', { ...options, ahead: 8 });
  let ended = false;
  slow.report.then(() => {
    ended = true;
  });
  const other = await all(model.generate('The old house', { ...options, maxTokens: 240 }).tokens());
  expect(other).toHaveLength(240);
  expect(ended).toBe(false); // twice as many tokens were computed beside it
  expect(await all(slow.tokens())).toEqual(expected);
  expect((await slow.report).generatedTokens).toBe(120);
});

it('an answer that rests may be ended, and nothing is computed meanwhile', async () => {
  const controller = new AbortController();
  const { report } = model.generate('Once', { ...options, maxTokens: 2000, ahead: 4, signal: controller.signal });
  await all(model.generate('The old house', { ...options, maxTokens: 240 }).tokens());
  controller.abort();
  const { finish, generatedTokens } = await report;
  expect(finish).toBe('aborted');
  expect(generatedTokens).toBeLessThan(200); // 240 were computed beside it
  expect(await all(model.generate('A', { ...options, maxTokens: 3 }).tokens())).toHaveLength(3);
});

it('what waits for a sequence begins once one is free, though the other answer rests', async () => {
  const slow = model.generate('Once', { ...options, ahead: 4 });
  const [, last] = await Promise.all(['A', 'B'].map((text) => all(model.generate(text, options).tokens())));
  expect(last).toHaveLength(120);
  expect(await all(slow.tokens())).toHaveLength(120);
});
