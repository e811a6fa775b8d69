import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { load, type Model } from '#fiddler/index.js';

let model: Model;
beforeAll(async () => {
  const options = { accelerator: 'none', dtype: 'f32', threads: 1, ctx: 128, sequences: 3, profile: false } as const;
  model = await load('models/mini-mixtral', options);
});
afterAll(() => model.close());

describe('several answers to a prompt', () => {
  it('are those that each seed gives alone, by the mean of their log-probabilities', async () => {
    const options = { maxTokens: 9, temperature: 1, topP: 1 };
    const { choices, reports } = await model.choices('A cat', { ...options, seed: 11, n: 3, bestOf: 5 });
    expect(choices).toHaveLength(3);
    expect(reports.map(({ seed }) => seed).toSorted()).toEqual([11, 12, 13, 14, 15]);
    const alone: { tokens: number[]; text: string; mean: number }[] = [];
    for (let seed = 11; seed < 16; seed++) {
      const generation = model.generate('A cat', { ...options, seed, logprobs: 1, ignoreEnd: true });
      const all = [];
      for await (const token of generation.tokens()) all.push(token);
      const mean = all.reduce((sum, { logprob }) => sum + logprob!, 0) / all.length;
      alone.push({ tokens: all.map(({ token }) => token), text: all.map(({ text }) => text).join(''), mean });
    }
    alone.sort((a, b) => b.mean - a.mean);
    for (const [i, { tokens, text, score, logprob }] of choices.entries()) {
      expect(tokens).toEqual(alone[i]!.tokens);
      expect(text).toBe(alone[i]!.text);
      expect(score).toBeCloseTo(alone[i]!.mean, 4);
      expect(logprob / tokens.length).toBeCloseTo(score, 4);
    }
  });

  it('count the token that ends one, and leave a stop text out', async () => {
    const { choices } = await model.choices('A cat', { temperature: 0, logitBias: { 2: 100 } });
    expect(choices).toMatchObject([{ tokens: [], text: '', finish: 'end' }]);
    expect(choices[0]!.score).toBeLessThan(0);
    const whole = (await model.choices('A cat', { temperature: 0, maxTokens: 12 })).choices[0]!.text;
    const stop = whole.slice(10, 14);
    const { choices: stopped } = await model.choices('A cat', { temperature: 0, maxTokens: 12, stop: [stop], n: 2 });
    for (const { text, finish } of stopped) {
      expect(finish).toBe('stop');
      expect(text).toBe(whole.slice(0, whole.indexOf(stop)));
    }
  });

  it('end with their signal, with what there is', async () => {
    const signal = AbortSignal.abort();
    const { choices } = await model.choices('A cat', { signal, n: 2 });
    expect(choices.map(({ finish }) => finish)).toEqual(['aborted', 'aborted']);
    expect(await model.beams('A cat', { beams: 2, signal })).toMatchObject({
      choices: [],
      reports: [{ finish: 'aborted' }],
    });
  });

  it('fail together, with what failed first', async () => {
    const long = Array.from({ length: 300 }, () => 5);
    await expect(model.choices(long, { n: 2 })).rejects.toMatchObject({ code: 'context' });
    await expect(model.beams(long, { beams: 2 })).rejects.toMatchObject({ code: 'context' });
  });

  it('are refused where an option is wrong', async () => {
    expect(() => model.choices('A cat', { n: 3, bestOf: 2 })).toThrow('best 3 of 2');
    await expect(model.beams('A cat', { beams: 4 })).rejects.toThrow('load it with `sequences: 4`');
    await expect(model.beams('A cat', { beams: 2, temperature: 1 } as never)).rejects.toThrow('no option temperature');
    await expect(model.beams('A cat', {} as never)).rejects.toMatchObject({ code: 'usage' });
  });
});

describe('beams', () => {
  it('have the text of their tokens, as they follow the prompt', async () => {
    const { choices } = await model.beams('A cat', { beams: 3, n: 3, maxTokens: 10, ignoreEnd: true });
    expect(choices).toHaveLength(3);
    const ids = await model.encode('A cat');
    const prompt = await model.decode(ids);
    for (const { tokens, text } of choices) {
      expect(tokens).toHaveLength(10);
      expect(await model.decode([...ids, ...tokens])).toBe(prompt + text);
    }
  });
});
