import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { StreamDecoder } from '../../../src/text/stream.js';
import { loadTokenizer } from '../../../src/text/tokenizer.js';
import { readTokenizerConfig } from '../../../src/text/tokenizer-config.js';
import { fiddlerError } from '../../support/errors.js';
import { llamaVocabulary } from '../../support/llama-vocabulary.js';
import { MINI_MIXTRAL } from '../byte-fallback.js';
import { compareWithLlama } from './llama.js';
import {
  byteLevelVocabulary,
  type Described,
  flag,
  gemma4Vocabulary,
  ids,
  scoredVocabulary,
  type Token,
  vocabularyFile,
} from './vocabularies.js';

/** Those of most models; the slow test has all. */
const COMMON = [
  ...['default', 'gpt-2', 'llama-bpe', 'glm4', 'qwen2', 'qwen35', 'gpt-4o', 'refact'],
  ...['deepseek-llm', 'deepseek-v3', 'kimi-k2', 'cohere2moe', 'exaone-moe'],
];

/** The bundled model's vocabulary. */
function bundled(): Described {
  const json = JSON.parse(readFileSync(join(MINI_MIXTRAL, 'tokenizer.json'), 'utf8'));
  const vocab: [string, number][] = Object.entries(json.model.vocab);
  const special = new Set(json.added_tokens.map(({ content }: { content: string }) => content));
  return {
    model: 'gpt2',
    pre: 'gpt-2',
    tokens: vocab.sort(([, a], [, b]) => a - b).map(([token]): Token => [token, special.has(token) ? 3 : 1]),
    merges: json.model.merges.map((pair: string[]) => pair.join(' ')),
    more: { ...ids({ bos: 1, eos: 2 }), 'tokenizer.ggml.add_bos_token': flag(true) },
  };
}

describe('the tokenizer of a GGUF file gives the tokens of llama.cpp', () => {
  it.each(COMMON)('with the pre-tokenizer %s', (pre) => compareWithLlama(byteLevelVocabulary(pre), 40));
  it('by scores', () => compareWithLlama(scoredVocabulary(), 200));
  it('by merges of characters (gemma4)', () => compareWithLlama(gemma4Vocabulary(), 200));
  it('for the bundled model', () => compareWithLlama(bundled(), 100));

  it.each([
    ['add_bos_token', false],
    ['add_eos_token', true],
    ['add_space_prefix', false],
  ])('where it says %s: %s', (name, value) => {
    const more = { [`tokenizer.ggml.${name}`]: flag(value) };
    compareWithLlama(scoredVocabulary(more), 50);
    if (name === 'add_space_prefix') return;
    compareWithLlama(gemma4Vocabulary(more), 50);
    compareWithLlama(byteLevelVocabulary('llama-bpe', more), 50);
  });
});

describe('the tokenizer of a GGUF file', () => {
  it('reads and writes as the bundled model does', () => {
    const file = vocabularyFile(bundled());
    const [own, original] = [loadTokenizer(file)!, loadTokenizer(MINI_MIXTRAL)!];
    const text = readFileSync('test/texts/tale.txt', 'utf8').slice(0, 3000);
    const tokens = original.encode(text);
    expect(own.encode(text)).toEqual(tokens);
    expect(own.decode(tokens)).toBe(text);
    expect([...own.special].sort()).toEqual([...original.special].sort());
    expect(own.vocabularySize).toBe(original.vocabularySize);
    expect(loadTokenizer(dirname(file))!.encode(text)).toEqual(tokens); // a folder with one file
  });

  it.each([
    ['by scores', scoredVocabulary()],
    ['gemma4', gemma4Vocabulary()],
    ['byte-level', byteLevelVocabulary('qwen2')],
  ])('gives a text back as it was, whole and as it comes: %s', (_, described) => {
    const tokenizer = loadTokenizer(vocabularyFile(described))!;
    const text = " ד 漢 the\n\n\n\nЖ don't 😀 x\u00e9  é\u0301<think>";
    const tokens = tokenizer.encode(text);
    expect(tokenizer.decode(tokens)).toBe(text);
    const stream = new StreamDecoder(tokenizer);
    expect(tokens.map((id) => stream.push(id)).join('') + stream.flush()).toBe(text);
  });

  it('knows control tokens, and hides no others', () => {
    const tokenizer = loadTokenizer(vocabularyFile(scoredVocabulary()))!;
    expect([...tokenizer.special].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4]);
    expect(tokenizer.added.find(({ content }) => content === '<think>')).toEqual({
      content: '<think>',
      special: false,
    });
  });

  it('makes way for a tokenizer.json beside it', () => {
    const file = vocabularyFile({ ...bundled(), pre: 'unheard-of' });
    copyFileSync(join(MINI_MIXTRAL, 'tokenizer.json'), join(dirname(file), 'tokenizer.json'));
    expect(loadTokenizer(file)!.encode('Once upon a time')).toEqual(
      loadTokenizer(MINI_MIXTRAL)!.encode('Once upon a time'),
    );
    expect(loadTokenizer(file)!.ends).toContain(2);
    const other = vocabularyFile({ ...bundled(), model: 'rwkv' });
    copyFileSync(join(MINI_MIXTRAL, 'tokenizer.json'), join(dirname(other), 'tokenizer.json'));
    expect(loadTokenizer(other)!.encode('Once upon a time')).toEqual(
      loadTokenizer(MINI_MIXTRAL)!.encode('Once upon a time'),
    );
  });

  it('is none where the file has none', () => {
    expect(loadTokenizer(vocabularyFile({ model: 'no_vocab', tokens: [] }))).toBeUndefined();
  });
});

describe('the tokens that end an answer', () => {
  const ALL = [
    'a',
    '<|endoftext|>',
    '<|im_end|>',
    '<|eot_id|>',
    '<|eom_id|>',
    '<end_of_turn>',
    '[EOS]',
    '[e~[',
    '<PRE>',
  ];
  const cases: [string, Token[], Record<string, number>][] = [
    ['those known by their text', ALL.map((text): Token => [text, 3]), { eos: 0 }],
    ['whatever their type', ALL.map((text): Token => [text]), { eos: 1 }],
    ['those that the file names', ['a', 'b', 'c', 'd'].map((text): Token => [text]), { eos: 1, eot: 2, eom: 3 }],
    [
      'no end of a message of gpt-oss',
      ['x', '<|return|>', '<|call|>', '<|end|>'].map((t): Token => [t, 3]),
      { eos: 1 },
    ],
    ['no end of a message of Solar', ['x', '<|flush|>', '<|calls|>', '<|end|>'].map((t): Token => [t, 3]), { eos: 1 }],
    ['an end without calls', ['x', '<|return|>', '<|end|>'].map((t): Token => [t, 3]), { eos: 1 }],
    ['no </s> of Gemma 4', ['</s>', '<|tool_response>', '<eos>', '<turn|>'].map((t): Token => [t, 3]), { eos: 2 }],
    [
      'between files',
      ['x', '<|fim_pad|>', '<|repo_name|>', '<|file_sep|>', '<PAD>'].map((t): Token => [t, 3]),
      { eos: 0 },
    ],
    ['files by name', ['x', '<|file_sep|>', 'y', 'z'].map((t): Token => [t, 3]), { eos: 0, fim_sep: 2, fim_pad: 3 }],
  ];
  it.each(cases)('are those of llama.cpp: %s', (_, tokens, named) => {
    const padding = Array.from({ length: 16 }, (__, i): Token => [`filler${i}`]); // llama.cpp has default ids up to 13
    const file = vocabularyFile({
      model: 'gpt2',
      pre: 'qwen2',
      tokens: [...tokens, ...padding],
      merges: [],
      more: ids({ bos: 0, ...named }),
    });
    const ours = new Set(loadTokenizer(file)!.ends);
    expect([...ours].sort((a, b) => a - b)).toEqual(llamaVocabulary(file).ends());
  });
});

describe('what a GGUF file says like tokenizer_config.json', () => {
  it('is its chat template and its special tokens', async () => {
    const { readGgufText } = await import('../../../src/text/gguf/index.js');
    const chat = { 'tokenizer.chat_template': { kind: 'string' as const, value: '{{ bos_token }}hi' } };
    const file = vocabularyFile(scoredVocabulary(chat));
    const { config } = readGgufText(file, false);
    expect(config).toMatchObject({
      bos_token: '<s>',
      eos_token: '</s>',
      unk_token: '<unk>',
      chat_template: '{{ bos_token }}hi',
    });
    writeFileSync(join(dirname(file), 'tokenizer_config.json'), '{"chat_template": "better"}');
    expect(readTokenizerConfig(dirname(file), config)).toMatchObject({ chat_template: 'better', bos_token: '<s>' });
  });
});

describe('a GGUF file whose tokenizer is not known', () => {
  const tokenizer = (changes: Partial<Described>) => () => loadTokenizer(vocabularyFile({ ...bundled(), ...changes }));

  it('is refused by its name, never guessed', () => {
    const message = fiddlerError('unsupported', tokenizer({ pre: 'runes-7' }));
    expect(message).toMatch(/needs the pre-tokenizer "runes-7", which is not known; put the tokenizer\.json/);
    expect(fiddlerError('unsupported', tokenizer({ pre: undefined }))).toContain('names no pre-tokenizer');
    expect(fiddlerError('unsupported', tokenizer({ pre: 'toString' }))).toContain('"toString"');
    expect(fiddlerError('unsupported', tokenizer({ model: 'rwkv' }))).toContain('a tokenizer of the kind "rwkv"');
    expect(fiddlerError('unsupported', tokenizer({ model: 'constructor' }))).toContain('"constructor"');
  });

  it.each<[string, Partial<Described>]>([
    ['a token twice', { tokens: [['a'], ['b'], ['a']] }],
    ['no tokens', { tokens: [] }],
    ['merges is missing', { merges: undefined }],
    ['merges is missing', { model: 'gemma4', merges: undefined }],
    ['token_type has 1 of', { more: { 'tokenizer.ggml.token_type': { kind: 'array', of: 'i32', value: [1] } } }],
    ['scores has 1 of', { more: { 'tokenizer.ggml.scores': { kind: 'array', of: 'f32', value: [1] } } }],
    ['scores holds what is no number', { tokens: [['a', 1, Number.NaN]] }],
    [
      'tokens is not a list of strings',
      { more: { 'tokenizer.ggml.tokens': { kind: 'array', of: 'i32', value: [1] } } },
    ],
    ['add_bos_token is not true or false', { more: { 'tokenizer.ggml.add_bos_token': { kind: 'u32', value: 1 } } }],
  ])('or is damaged: %s', (problem, changes) => {
    expect(fiddlerError('file', tokenizer(changes)).replaceAll(/tokenizer\.ggml\.|"/g, '')).toContain(problem);
  });

  it('may have empty tokens, odd names and ids out of range', () => {
    const odd: Token[] = [['__proto__'], [''], ['constructor'], ['a'], ['5']];
    const loaded = tokenizer({ tokens: odd, merges: ['x', ''], more: ids({ bos: 99, eos: 99 }) })()!;
    expect(loaded.encode('a5')).toEqual([3, 4]);
    expect(loaded.id('__proto__')).toBe(0);
    expect(loaded.id('[EMPTY_1]')).toBe(1);
    expect(loaded.ends).toEqual([]);
  });
});
