import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { GeneratedToken } from '../../src/report.js';
import { StopMatcher } from '../../src/text/stop.js';
import { loadTokenizer } from '../../src/text/tokenizer.js';
import { TextWriter } from '../../src/thread/writer.js';
import { byteFallbackJson, tokenizerOf } from '../text/byte-fallback.js';

const tokenizer = loadTokenizer('models/mini-mixtral')!;

/** Writes `ids` until a stop text is complete. */
function write(ids: readonly number[], stop: readonly string[], prompt: readonly number[] = []) {
  const tokens: GeneratedToken[] = [];
  const writer = new TextWriter({ tokenizer, prompt, stop, onToken: (token) => tokens.push(token) });
  const taken = ids.findIndex((id) => writer.push(id));
  writer.finish();
  const text = tokens.map((token) => token.text).join('');
  return { tokens, text, stoppedAt: taken < 0 ? undefined : taken, stop: writer.stop };
}

describe('TextWriter', () => {
  it('gives every token once and in order, and together the text up to the stop text', () => {
    const id = fc.integer({ min: 0, max: tokenizer.vocabularySize - 1 });
    const stops = fc.array(fc.constantFrom('e', 'the', 'th', ' a', '. ', 'é', '"I'), { maxLength: 3 });
    fc.assert(
      fc.property(fc.array(id, { maxLength: 40 }), stops, (ids, stop) => {
        const { tokens, text, stoppedAt } = write(ids, stop);
        const taken = stoppedAt === undefined ? ids : ids.slice(0, stoppedAt + 1);
        expect(tokens.map(({ token }) => token)).toEqual(taken);
        const matcher = new StopMatcher(stop);
        // A character that stays incomplete at the end is left out.
        const whole = tokenizer.decode(taken);
        const { text: before, stopped } = matcher.push(whole);
        expect(stopped).toBe(stoppedAt !== undefined);
        const expected = stopped ? before : before + matcher.flush();
        expect([expected, expected.replace(/\uFFFD$/, '')]).toContain(text);
      }),
    );
  });

  it('stops at a control token by the text that it is written as, and not where that is spelled otherwise', () => {
    const ids = tokenizer.encode('Once upon', { addSpecial: false });
    const end = tokenizer.id('</s>')!;
    expect(write([...ids, end, ...ids], ['</s>'])).toMatchObject({
      ...{ text: 'Once upon', stoppedAt: ids.length, stop: '</s>' },
    });
    expect(write([...ids, end, ...ids], ['<s>', '/s>']).stoppedAt).toBeUndefined();
  });

  it('looks for control tokens in the answer alone, where a model reasons', () => {
    const end = tokenizer.id('</s>')!;
    const channels = ['reasoning', undefined, 'answer', undefined] as const;
    let next = 0;
    const writer = new TextWriter({
      ...{ tokenizer, prompt: [], stop: ['</s>'], onToken: () => {} },
      parser: { push: () => channels[next++] },
    });
    const [word] = tokenizer.encode('Once', { addSpecial: false });
    expect([word!, end, word!, end].map((id) => writer.push(id))).toEqual([false, false, false, true]);
  });

  it('leaves out a character that stayed incomplete before a control token that is a part of the text', () => {
    const [letter] = tokenizer.encode('O', { addSpecial: false });
    const [firstByte] = tokenizer.encode('é', { addSpecial: false });
    const texts: string[] = [];
    const onToken = ({ text }: GeneratedToken) => void texts.push(text);
    const writer = new TextWriter({ tokenizer, prompt: [], stop: [], marks: ['</s>'], onToken });
    for (const id of [letter!, firstByte!, tokenizer.id('</s>')!, letter!]) writer.push(id);
    writer.finish();
    expect(texts).toEqual(['O', '', '</s>', 'O']);
  });

  it('gives text back that only began like a stop text, with the last token', () => {
    const { tokens, text } = write(tokenizer.encode('Once upon a', { addSpecial: false }), ['upon a time']);
    expect(text).toBe('Once upon a');
    expect(tokens.at(-1)!.text).toBe('upon a');
  });

  it.each([
    ['byte-level', tokenizer],
    ['with a step that strips', tokenizerOf(byteFallbackJson('strip'))],
    ['with a Metaspace step', tokenizerOf(byteFallbackJson('metaspace'))],
  ])('spells tokens as they are in a text, in bytes where they are no whole characters: %s', (_, of) => {
    const ids = of.encode(' ab\u00e9 \u{1F600}', { addSpecial: false });
    const bytes: number[] = [];
    const onToken = ({ spelled = '', bytes: own, top }: GeneratedToken) => {
      bytes.push(...(own ?? Buffer.from(spelled)));
      expect([top![0]!.text, top![0]!.bytes]).toEqual([spelled, own]);
    };
    const writer = new TextWriter({ tokenizer: of, prompt: [], stop: [], onToken });
    for (const token of ids) writer.push(token, [{ token, logprob: -1 }], -1);
    writer.finish();
    expect(Buffer.from(bytes).toString().trimStart()).toBe('ab\u00e9 \u{1F600}');
    expect(Buffer.from(bytes).toString()).toMatch(/^ /);
  });

  it('leaves out a character that stays incomplete', () => {
    const ids = tokenizer.encode('ab€', { addSpecial: false });
    expect(write(ids, []).text).toBe('ab€');
    expect(write(ids.slice(0, -1), []).text).toBe('ab');
  });

  it('keeps the space of a word that follows a prompt', () => {
    const prompt = tokenizer.encode('Once upon');
    expect(write(tokenizer.encode(' a time', { addSpecial: false }), [], prompt).text).toBe(' a time');
  });

  it('passes the likeliest tokens on', () => {
    const tokens: GeneratedToken[] = [];
    const writer = new TextWriter({ tokenizer, prompt: [], stop: [], onToken: (token) => tokens.push(token) });
    writer.push(300, [{ token: 300, logprob: -0.5 }]);
    writer.push(301);
    expect(tokens.map(({ top }) => top)).toEqual([[{ token: 300, logprob: -0.5, text: 'at' }], undefined]);
  });
});
