import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Channel, GeneratedToken } from '../../src/report.js';
import { reasoningParser } from '../../src/text/reasoning/index.js';
import { TextWriter } from '../../src/thread/writer.js';
import { spelled, TAGGED, tag, taggedBy } from './tagged.js';

const encode = (text: string) => TAGGED.encode(text, { addSpecial: false });

/** The channel of each token behind `prompt`. */
function channels(prompt: readonly number[], ids: readonly number[]): (Channel | undefined)[] {
  const parser = reasoningParser(TAGGED, prompt);
  return ids.map((id) => parser.push(id));
}

/** The text of each channel, as a conversation gives it. */
function texts(prompt: readonly number[], ids: readonly number[], stop: readonly string[] = []) {
  const tokens: GeneratedToken[] = [];
  const parser = reasoningParser(TAGGED, prompt);
  const onToken = (token: GeneratedToken) => tokens.push(token);
  const writer = new TextWriter({ tokenizer: TAGGED, prompt, stop, parser, onToken });
  const taken = ids.findIndex((id) => writer.push(id)) + 1;
  writer.finish();
  expect(tokens.map(({ token }) => token)).toEqual(ids.slice(0, taken || undefined));
  const of = (wanted: Channel) => tokens.map(({ text, channel }) => (channel === wanted ? text : '')).join('');
  expect(tokens.filter(({ text, channel }) => text !== '' && channel === undefined)).toEqual([]);
  return { reasoning: of('reasoning'), answer: of('answer') };
}

/** A text, which may spell tags, in some division into tokens; without U+FFFD, which at its end means an incomplete character. */
const dividedText = fc
  .array(
    fc.oneof(
      fc.constantFrom('<|channel|>final<|message|>', '<|end|>', '<think>', '</think>', '\n', ' a', '日本'),
      fc.string({ unit: 'grapheme', maxLength: 6 }).map((text) => text.replaceAll('\uFFFD', '?')),
    ),
    { maxLength: 6 },
  )
  .map((pieces) => ({ text: pieces.join(''), ids: pieces.flatMap(spelled) }));

/** Ids of ordinary tokens, whatever text they give. */
const ordinary = fc.array(fc.integer({ min: 3, max: 4095 }), { maxLength: 8 });

describe('harmony', () => {
  const prompt = [
    ...[tag('<|start|>'), ...encode('user'), tag('<|message|>'), ...encode('Hi'), tag('<|end|>')],
    ...[tag('<|start|>'), ...encode('assistant')],
  ];
  const header = fc.constantFrom<[Channel, number[]]>(
    ['reasoning', [tag('<|channel|>'), ...encode('analysis')]],
    [
      'reasoning',
      [tag('<|channel|>'), ...encode('commentary to=functions.f '), tag('<|constrain|>'), ...encode('json')],
    ],
    ['reasoning', [tag('<|channel|>'), ...encode('commentary'), tag('<|constrain|>'), ...encode('json')]],
    ['reasoning', [...encode(' to=functions.f'), tag('<|channel|>'), ...encode('analysis')]],
    ['answer', [tag('<|channel|>'), ...encode('final')]],
    ['answer', [tag('<|channel|>'), ...spelled('final'), tag('<|constrain|>'), ...encode('json')]],
    ['answer', []],
  );
  /** Any messages: the tokens of each and where they belong. */
  const messages = <T>(content: fc.Arbitrary<T>) =>
    fc.array(fc.record({ header, content, end: fc.constantFrom(tag('<|end|>'), undefined) }), { maxLength: 5 });
  const open = (i: number) => (i === 0 ? [] : [tag('<|start|>'), ...encode('assistant')]);
  const close = (end: number | undefined) => (end === undefined ? [] : [end]);

  it('knows the channel of every token of any messages', () => {
    fc.assert(
      fc.property(messages(ordinary), (all) => {
        const stream = all.flatMap(({ header: [channel, head], content, end }, i) => [
          ...[...open(i), ...head, tag('<|message|>')].map((id) => [id, undefined] as const),
          ...content.map((id) => [id, channel] as const),
          ...close(end).map((id) => [id, undefined] as const),
        ]);
        const ids = stream.map(([id]) => id);
        expect(channels(prompt, ids)).toEqual(stream.map(([, channel]) => channel));
      }),
    );
  });

  it('gives the text of each channel, however it is divided into tokens, and takes no spelled tag for one', () => {
    fc.assert(
      fc.property(messages(dividedText), (all) => {
        const ids = all.flatMap(({ header: [, head], content, end }, i) => [
          ...[...open(i), ...head, tag('<|message|>'), ...content.ids, ...close(end)],
        ]);
        const of = (channel: Channel) =>
          all.map(({ header: [own], content }) => (own === channel ? content.text : '')).join('');
        expect(texts(prompt, ids)).toEqual({ reasoning: of('reasoning'), answer: of('answer') });
      }),
    );
  });

  it('goes on in a channel that the prompt opened', () => {
    const analysis = [...prompt, tag('<|channel|>'), ...encode('analysis'), tag('<|message|>')];
    expect(channels(analysis, [50, tag('<|end|>'), 60])).toEqual(['reasoning', undefined, undefined]);
  });

  it('is not looked for in a prompt that is not written in it', () => {
    expect(texts(encode('Once'), encode(' upon'))).toEqual({ reasoning: '', answer: ' upon' });
  });
});

describe('<think>', () => {
  const asked = [tag('<|im_start|>'), ...encode('user\nWhat is '), tag('<think>'), ...encode('?')];
  const plain = [...asked, tag('<|im_end|>'), ...encode('\n'), tag('<|im_start|>'), ...encode('assistant\n')];
  const opened = [...plain, tag('<think>'), ...encode('\n')];
  const answered = [...opened, ...encode('\n'), tag('</think>'), ...encode('\n\n')];
  const newlines = fc.constantFrom([], encode('\n'), [...encode('\n'), ...encode('\n')]);
  const withoutNewline = (text: string) => text.replace(/^\n+/, '');

  it('gives reasoning and answer, however they are divided into tokens, and takes no spelled tag for one', () => {
    const prompts = fc.constantFrom(
      { prompt: plain, begin: [tag('<think>')] },
      { prompt: plain, begin: [...encode('\n'), tag('<think>')] },
      { prompt: opened, begin: [] },
    );
    fc.assert(
      fc.property(prompts, dividedText, newlines, dividedText, ({ prompt, begin }, reasoning, space, answer) => {
        const ids = [...begin, ...reasoning.ids, tag('</think>'), ...space, ...answer.ids];
        const expected = { reasoning: withoutNewline(reasoning.text), answer: withoutNewline(answer.text) };
        expect(texts(prompt, ids)).toEqual(expected);
      }),
    );
  });

  it('is all answer where the model does not reason', () => {
    fc.assert(
      fc.property(fc.constantFrom(plain, answered), dividedText, (prompt, { text, ids }) => {
        expect(texts(prompt, ids)).toEqual({ reasoning: '', answer: withoutNewline(text) });
      }),
    );
  });

  it('knows tags at the beginning of an answer only, once', () => {
    const [open, close] = [tag('<think>'), tag('</think>')];
    expect(texts(plain, [50, open, 51, close]).reasoning).toBe('');
    expect(texts(plain, [50, open, 51, close]).answer).toContain('<think>');
    expect(channels(plain, [open, open, close, open, close])).toEqual([
      undefined,
      'reasoning',
      undefined,
      'answer',
      'answer',
    ]);
  });

  it('is reasoning to the end where the end never comes', () => {
    expect(texts(opened, encode('on and on'))).toEqual({ reasoning: 'on and on', answer: '' });
  });
});

const FORMATS = [
  { open: '[THINK]', close: '[/THINK]', header: '', before: [], behind: [] },
  { open: '<|channel>', close: '<channel|>', header: 'thought\n', before: [], behind: [] },
  {
    open: '<|START_THINKING|>',
    close: '<|END_THINKING|>',
    header: '',
    before: ['<|START_RESPONSE|>'],
    behind: ['<|END_RESPONSE|>'],
  },
];

describe.each(FORMATS)('reasoning between $open and $close', ({ open, close, header, before, behind }) => {
  const tokenizer = taggedBy([open, close, ...before, ...behind]);
  const id = (text: string) => tokenizer.id(text)!;
  const shown = (prompt: readonly number[], ids: readonly number[]) => {
    const parser = reasoningParser(tokenizer, prompt);
    return ids.map((token) => parser.push(token));
  };
  const head = [id(open), ...encode(header)];
  const answer = [...before.map(id), 60, 61, ...behind.map(id)];
  const hidden = (count: number) => Array.from({ length: count }, () => undefined);
  const answered = [...hidden(before.length), 'answer', 'answer', ...hidden(behind.length)];

  it('is told from the answer, wherever the prompt ends', () => {
    const thought = ['reasoning', 'reasoning', undefined, ...answered];
    expect(shown([5], [...head, 50, 51, id(close), ...answer])).toEqual([...hidden(head.length), ...thought]);
    expect(shown([5, ...head], [50, 51, id(close), ...answer])).toEqual(thought);
    expect(shown([5, ...head, id(close)], answer)).toEqual(answered);
    expect(shown([5], answer)).toEqual(answered);
  });

  it('is not begun by a tag that the user wrote, nor by a text that spells one', () => {
    expect(shown([id(open), 7], answer)).toEqual(answered);
    expect(new Set(shown([5], spelled(`${open}${header}a${close}`)))).toEqual(new Set(['answer']));
  });
});

describe('text of channels', () => {
  const prompt = [tag('<think>')];
  const answer = (text: string) => [...encode('Stop? '), tag('</think>'), ...encode(text)];

  it('stops at a stop text of the answer, not of the reasoning', () => {
    expect(texts(prompt, answer('Go on. Stop? No.'), ['Stop?'])).toEqual({ reasoning: 'Stop? ', answer: 'Go on. ' });
  });

  it('gives back what only began like a stop text where its channel ends', () => {
    const start = [tag('<|start|>'), tag('<|message|>')];
    const ids = [...encode('the EN'), tag('<|end|>'), tag('<|channel|>'), ...encode('analysis'), tag('<|message|>')];
    expect(texts(start, [...ids, ...encode('D')], ['END'])).toEqual({ reasoning: 'D', answer: 'the EN' });
  });

  it('leaves out a character that stays incomplete where its channel ends', () => {
    const half = encode('€').slice(0, -1);
    const rest = encode('€').slice(-1);
    expect(texts(prompt, [50, ...half, tag('</think>'), ...encode('a')])).toEqual({ reasoning: 'P', answer: 'a' });
    expect(texts(prompt, [50, ...half, tag('</think>'), ...rest, ...encode('a')]).answer).not.toContain('€');
  });
});
