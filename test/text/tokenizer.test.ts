import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StandIns } from '../../src/text/stand-ins.js';
import { StreamDecoder } from '../../src/text/stream.js';
import { loadTokenizer } from '../../src/text/tokenizer.js';
import { fiddlerError } from '../support/errors.js';
import { temporaryFolder } from '../support/folder.js';
import { byteFallbackJson, idOf, MINI_MIXTRAL, tokenizerOf } from './byte-fallback.js';
import { pieceId, textToTextJson } from './text-to-text.js';

describe('mini-mixtral', () => {
  const tokenizer = loadTokenizer(MINI_MIXTRAL)!;

  it('adds the beginning token unless told not to', () => {
    const bare = tokenizer.encode('Once upon a time', { addSpecial: false });
    expect(bare).not.toContain(1);
    expect(tokenizer.encode('Once upon a time')).toEqual([1, ...bare]);
    expect(tokenizer.encode('')).toEqual([1]);
  });

  it('knows its vocabulary and its special tokens', () => {
    expect(tokenizer.vocabularySize).toBe(4096);
    expect([...tokenizer.special]).toEqual([0, 1, 2]);
  });

  it('reads special tokens written out in a text', () => {
    expect(tokenizer.encode('</s>', { addSpecial: false })).toEqual([2]);
  });

  it('leaves special tokens out of a text, or keeps them', () => {
    const ids = [...tokenizer.encode('a cat'), 2];
    expect(tokenizer.decode(ids)).toBe('a cat');
    expect(tokenizer.decode(ids, { skipSpecial: false })).toBe('<s>a cat</s>');
  });

  it('gives no text for ids outside the vocabulary, as in a padded model', () => {
    expect(tokenizer.decode([9_999])).toBe('');
    expect(tokenizer.decode([...tokenizer.encode('cat'), 4096])).toBe('cat');
  });

  it('decodes what it encoded, spaces before punctuation included', () => {
    expect(tokenizer.decode(tokenizer.encode("I do n't know , he said ."))).toBe("I do n't know , he said .");
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 40 }), (text) => {
        fc.pre(!/<(unk|s|\/s)>/.test(text));
        expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
      }),
    );
  });
});

describe('tokenizer_config.json', () => {
  const json = byteFallbackJson('strip');
  const bare = { ...json, post_processor: null };
  const ab = idOf('▁ab');

  it('adds a beginning token that tokenizer.json does not add', () => {
    expect(tokenizerOf(bare).encode('ab')).toEqual([ab]);
    expect(tokenizerOf(bare, { add_bos_token: true, bos_token: '<s>' }).encode('ab')).toEqual([1, ab]);
    expect(tokenizerOf(bare, { add_bos_token: true, bos_token: { content: '<s>' } }).encode('ab')).toEqual([1, ab]);
    expect(tokenizerOf(bare, { add_bos_token: false, bos_token: '<s>' }).encode('ab')).toEqual([ab]);
  });

  it('does not add it twice, nor where special tokens are not wanted', () => {
    const config = { add_bos_token: true, bos_token: '<s>' };
    expect(tokenizerOf(json, config).encode('ab')).toEqual([1, ab]);
    expect(tokenizerOf(bare, config).encode('ab', { addSpecial: false })).toEqual([ab]);
  });

  it('names special tokens that tokenizer.json does not mark', () => {
    expect(tokenizerOf(json).decode([idOf('<think>')])).toBe('<think>');
    expect(tokenizerOf(json, { additional_special_tokens: ['<think>'] }).decode([idOf('<think>')])).toBe('');
  });
});

describe('byte fallback', () => {
  it('keeps a byte-order mark, wherever it stands', () => {
    const tokenizer = tokenizerOf(byteFallbackJson('strip'));
    expect(tokenizer.decode(tokenizer.encode('\uFEFFa\uFEFF'))).toBe('\uFEFFa\uFEFF');
  });
});

describe('a broken tokenizer', () => {
  const json = byteFallbackJson('strip');
  const model = json.model as object;

  it('is undefined without tokenizer.json', () => {
    expect(loadTokenizer(temporaryFolder())).toBeUndefined();
  });

  it.each([
    ['no model', { ...json, model: undefined }],
    ['no vocabulary', { ...json, model: { ...model, vocab: 7 } }],
    ['an id that is none', { ...json, model: { ...model, vocab: { a: -1 } } }],
    ['no merges', { ...json, model: { ...model, merges: undefined } }],
    ['no added tokens', { ...json, added_tokens: undefined }],
    [
      'an invalid pattern',
      { ...json, pre_tokenizer: { type: 'Split', pattern: { Regex: '(' }, behavior: 'Isolated' } },
    ],
  ])('with %s is a file error', (_, broken) => {
    expect(fiddlerError('file', () => tokenizerOf(broken))).toContain('tokenizer.json');
  });

  it('with a step that is not known is refused by its name', () => {
    for (const step of ['normalizer', 'pre_tokenizer', 'decoder']) {
      const message = fiddlerError('unsupported', () => tokenizerOf({ ...json, [step]: { type: 'Runes' } }));
      expect(message).toContain('type: Runes');
    }
  });

  it('with JSON cut off is a file error', () => {
    const dir = temporaryFolder();
    const text = readFileSync(join(MINI_MIXTRAL, 'tokenizer.json'), 'utf8');
    writeFileSync(join(dir, 'tokenizer.json'), text.slice(0, 5000));
    expect(fiddlerError('file', () => loadTokenizer(dir))).toContain('tokenizer.json');
  });

  it('with a broken tokenizer_config.json is a file error', () => {
    expect(fiddlerError('file', () => tokenizerOf(json, { bos_token: 7 }))).toContain('tokenizer_config.json');
  });
});

describe('a text-to-text tokenizer', () => {
  const config = { eos_token: '</s>', pad_token: '<pad>', unk_token: '<unk>' };
  const withSentinels = { ...config, additional_special_tokens: ['<extra_id_0>', '<extra_id_1>'] };
  const answer = ['<pad>', '<extra_id_0>', '▁bee', 's', '<extra_id_1>', '▁honey', '</s>'].map(pieceId);

  it('ends a text with its end token, and reads sentinels in it', () => {
    const tokenizer = tokenizerOf(textToTextJson(), withSentinels);
    expect(tokenizer.encode('bees honey')).toEqual(['▁bee', 's', '▁honey', '</s>'].map(pieceId));
    const masked = tokenizer.encode('<extra_id_0> honey<extra_id_1>', { addSpecial: false });
    expect(masked).toEqual(['<extra_id_0>', '▁honey', '<extra_id_1>'].map(pieceId));
  });

  it.each([config, withSentinels])('shows sentinels and no other special tokens', (named) => {
    const tokenizer = tokenizerOf(textToTextJson(), named);
    expect(tokenizer.decode(answer)).toBe('<extra_id_0> bees<extra_id_1> honey');
    expect([...tokenizer.special]).toEqual([0, 1, 2]);
    const stream = new StreamDecoder(tokenizer);
    expect(answer.map((id) => stream.push(id)).join('')).toBe(tokenizer.decode(answer));
  });
});

describe('added tokens', () => {
  const json = byteFallbackJson('strip');

  it('are those of tokenizer_config.json too, as transformers adds them', () => {
    const spelled = tokenizerOf(json).encode('a<|user|>b', { addSpecial: false });
    expect(spelled.length).toBeGreaterThan(3);
    const added_tokens_decoder = { '400': { content: '<|user|>', special: true } };
    const tokenizer = tokenizerOf(json, { added_tokens_decoder });
    expect(tokenizer.encode('a<|user|>b', { addSpecial: false })).toContain(400);
    expect(tokenizer.decode([400])).toBe('');
    expect(tokenizer.added).toContainEqual({ content: '<|user|>', special: true });
  });

  it('are special ones by name that the vocabulary has', () => {
    const bare = { ...json, added_tokens: [] };
    expect(tokenizerOf(bare).encode('a</s>', { addSpecial: false })).not.toContain(2);
    expect(tokenizerOf(bare, { eos_token: '</s>' }).encode('a</s>', { addSpecial: false })).toContain(2);
  });

  it('name the end of an answer', () => {
    expect(tokenizerOf(json).ends).toEqual([]);
    expect(tokenizerOf(json, { eos_token: '</s>' }).ends).toEqual([2]);
  });

  it('are spelled out where a stand-in is, and stand-ins are kept in other texts', () => {
    const tokenizer = tokenizerOf(json);
    const { content } = tokenizer.added.find(({ content }) => content === '</s>')!;
    const standIns = new StandIns(tokenizer.added.map((token) => token.content));
    const hidden = standIns.hiding([content])(`a${content}b`);
    const ids = tokenizer.encode(hidden, { addSpecial: false, standIns: true });
    expect(ids).not.toContain(tokenizer.id(content));
    expect(tokenizer.decode(ids)).toBe(`a${content}b`);
    expect(tokenizer.decode(tokenizer.encode(hidden))).toBe(hidden);
  });

  it('can have stand-ins for each other, whatever is in the text', () => {
    const text = fc.string({ unit: fc.constantFrom('a', '<', 's', '>', '\u{f0000}', '\u{f0001}', '\u{10fffd}') });
    const standIns = new StandIns(['<s>', '<a', 'ss', '\u{f0001}']);
    fc.assert(
      fc.property(text, (said) => {
        const hidden = standIns.hiding(['<s>', '<a', 'ss'])(said);
        expect(hidden).not.toMatch(/<s>|<a|ss/);
        expect(standIns.show(hidden)).toBe(said);
      }),
    );
  });
});

describe('a step of a tokenizer', () => {
  it('has no endless texts', () => {
    const steps = { ...byteFallbackJson('strip'), normalizer: { type: 'Prepend', prepend: '▁'.repeat(100_000) } };
    expect(fiddlerError('file', () => tokenizerOf(steps))).toContain('prepend in normalizer is longer than 10000');
  });
});
