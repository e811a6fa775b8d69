import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { load, type Model } from '#fiddler/index.js';

const PROMPTS = ['The old house stood', 'A cat and a dog', 'Once upon a time there was', 'In the morning'];
const greedy = { temperature: 0, maxTokens: 24, ignoreEnd: true };
let model: Model;
beforeAll(async () => {
  const options = { accelerator: 'none', dtype: 'f32', threads: 1, ctx: 256, sequences: 3, profile: false } as const;
  model = await load('models/mini-mixtral', options);
});
afterAll(() => model.close());

async function textOf(answer: AsyncIterable<string>, onText: () => void = () => {}): Promise<string> {
  let text = '';
  for await (const piece of answer) {
    text += piece;
    onText();
  }
  return text;
}

describe('texts that are generated at once', () => {
  it('are what each is alone, those that wait too', async () => {
    const alone: string[] = [];
    for (const prompt of PROMPTS) alone.push(await textOf(model.generate(prompt, greedy)));
    expect(await Promise.all(PROMPTS.map((prompt) => textOf(model.generate(prompt, greedy))))).toEqual(alone);
  });

  it('come side by side, and what waits begins when another has ended', async () => {
    const order: number[] = [];
    const long = { ...greedy, maxTokens: 100 };
    const ended: number[] = [];
    await Promise.all(
      PROMPTS.map(async (prompt, i) => {
        await textOf(model.generate(prompt, i === 1 ? greedy : long), () => order.push(i));
        ended.push(i);
      }),
    );
    const first = (i: number) => order.indexOf(i);
    const last = (i: number) => order.lastIndexOf(i);
    expect(Math.max(first(0), first(1), first(2))).toBeLessThan(Math.min(last(0), last(1), last(2)));
    expect(first(3)).toBeGreaterThanOrEqual(last(1));
    expect(ended[0]).toBe(1);
    expect(ended.at(-1)).toBe(3);
  });

  it('go on where one is ended', async () => {
    const expected = await textOf(model.generate(PROMPTS[0]!, greedy));
    const controller = new AbortController();
    const endless = model.generate(PROMPTS[1]!, { ...greedy, maxTokens: 200, signal: controller.signal });
    const other = textOf(model.generate(PROMPTS[0]!, greedy), () => controller.abort());
    await textOf(endless);
    expect((await endless.report).finish).toBe('aborted');
    expect((await endless.report).generatedTokens).toBeLessThan(200);
    expect(await other).toBe(expected);
  });

  it('go on where one fails', async () => {
    const other = textOf(model.generate(PROMPTS[0]!, greedy));
    const tooLong = model.generate(Array.from({ length: 300 }, () => 5));
    await expect(tooLong.report).rejects.toMatchObject({ code: 'context' });
    expect(await other).toBe(await textOf(model.generate(PROMPTS[0]!, greedy)));
  });

  it('let a text be encoded meanwhile, and scored once there is room', async () => {
    const order: string[] = [];
    const long = { ...greedy, maxTokens: 150 };
    const texts = PROMPTS.slice(0, 3).map((prompt) =>
      textOf(model.generate(prompt, long)).then(() => order.push('text')),
    );
    const score = model.score('A cat').report.then(() => order.push('score'));
    const encoded = model.encode('A cat').then(() => order.push('encoded'));
    await Promise.all([...texts, score, encoded]);
    expect(order[0]).toBe('encoded');
    expect(order).toHaveLength(5);
  });
});

describe('conversations that alternate', () => {
  it('compute only what is new of each turn', async () => {
    const chats = [await model.chat({ system: 'Be brief.' }), await model.chat({ system: 'Be brief.' })];
    const texts = ['The cat sat.', 'A dog ran away.'];
    const options = { temperature: 0, maxTokens: 8, ignoreEnd: true };
    for (const [i, chat] of chats.entries()) await textOf(chat.send(texts[i]!, options));
    for (let turn = 0; turn < 2; turn++) {
      for (const chat of chats) {
        const answer = chat.send('And then?', options);
        await textOf(answer);
        const { promptTokens, cachedTokens } = await answer.report;
        expect(cachedTokens).toBeGreaterThan(promptTokens - 20);
      }
    }
  });
});
