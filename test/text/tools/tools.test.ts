import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { GeneratedToken } from '../../../src/report.js';
import type { Tokenizer } from '../../../src/text/tokenizer.js';
import type { Tool } from '../../../src/text/tools/format.js';
import { namedFormat, toolFormat } from '../../../src/text/tools/index.js';
import { CallReader } from '../../../src/text/tools/reader.js';
import { GPT_OSS, QWEN3 } from '../templates.js';
import { type Call, WRITTEN } from './written.js';

/** A tokenizer that has these texts as tokens, with the ids from 1000 on. */
function knowing(texts: readonly string[]): Tokenizer {
  const id = (text: string) => (texts.includes(text) ? 1000 + texts.indexOf(text) : undefined);
  return { id } as unknown as Tokenizer;
}

/** What an answer is read as: its text, and the calls in it. */
function read(format: string, pieces: readonly string[], tools: readonly Tool[], tokenizer = knowing([])) {
  let text = '';
  const calls: { name: string; id?: string; arguments: string }[] = [];
  const onToken = (token: GeneratedToken) => {
    text += token.text;
    for (const { index, name, id, arguments: more = '' } of token.calls ?? []) {
      if (name !== undefined) calls[index] = { name, ...(id !== undefined && { id }), arguments: '' };
      calls[index]!.arguments += more;
    }
  };
  const reader = new CallReader(namedFormat(format), tools, tokenizer, onToken);
  for (const piece of pieces) reader.push({ token: tokenizer.id(piece) ?? 1, text: piece, channel: 'answer' });
  reader.finish();
  return { text, calls };
}

/** A text in pieces: `cuts` are lengths. */
function cut(text: string, cuts: readonly number[]): string[] {
  const pieces: string[] = [];
  let at = 0;
  for (let i = 0; at < text.length; i++) {
    const length = cuts.length === 0 ? text.length : cuts[i % cuts.length]!;
    pieces.push(text.slice(at, at + length));
    at += length;
  }
  return pieces;
}

const word = fc.stringMatching(/^[a-z_]{1,8}$/).filter((text) => text !== '__proto__');
const said = fc.string({
  unit: fc.constantFrom('a', 'é', '\n', ' ', '"', "'", '\\', '{', '}', '[', ']', ':', ',', '<', '/'),
});
const value = fc.oneof(
  { weight: 2, arbitrary: said },
  fc.integer(),
  fc.boolean(),
  fc.constant(null),
  fc.array(fc.oneof(fc.integer(), word), { maxLength: 3 }),
  fc.dictionary(word, fc.oneof(fc.integer(), word), { maxKeys: 3 }),
);
const call: fc.Arbitrary<Call> = fc.record({ name: word, arguments: fc.dictionary(word, value, { maxKeys: 3 }) });

/** Tools of these calls, whose schemas say what is a text. */
function toolsOf(calls: readonly Call[]): Tool[] {
  return calls.map((one) => {
    const type = (given: unknown) => ({ type: typeof given === 'string' ? 'string' : 'object' });
    const properties = Object.fromEntries(Object.entries(one.arguments).map(([key, given]) => [key, type(given)]));
    return { type: 'function', function: { name: one.name, parameters: { type: 'object', properties } } };
  });
}

describe.each(Object.entries(WRITTEN))('%s', (format, write) => {
  const before = fc.constantFrom('', 'I will look.', 'a < b [x] { "y" }\n');
  const cuts = fc.array(fc.integer({ min: 1, max: 7 }), { maxLength: 5 });

  it('reads what its templates write, however it is cut into pieces', () => {
    fc.assert(
      fc.property(
        before,
        fc.uniqueArray(call, { minLength: 1, maxLength: 3, selector: ({ name }) => name }),
        cuts,
        (text, calls, lengths) => {
          const found = read(format, cut(text + write(calls), lengths), toolsOf(calls));
          expect(found.text).toBe(text);
          expect(found.calls.map(({ name }) => name)).toEqual(calls.map(({ name }) => name));
          // A white space at the end of a value may belong to its tag.
          const sorted = (one: object) => Object.fromEntries(Object.entries(one).sort(([a], [b]) => (a < b ? -1 : 1)));
          for (const [i, one] of found.calls.entries())
            expect(sorted(JSON.parse(one.arguments))).toEqual(sorted(calls[i]!.arguments));
        },
      ),
      { numRuns: 300 },
    );
  });

  it('gives back as text what only begins like a call, and a text without any', () => {
    const { begins } = namedFormat(format);
    for (const text of ['Hello, world!', `So ${begins[0]!.slice(0, -1)}`, begins[0]!, `${begins[0]}\n\u0001 no call`]) {
      expect(read(format, cut(text, [1]), [])).toEqual({ text, calls: [] });
    }
  });

  it('takes only the token for a beginning, where there is one', () => {
    const { begins } = namedFormat(format);
    const tokenizer = knowing(begins);
    const written = write([{ name: 'find', arguments: { n: 1 } }]);
    const begin = begins.find((one) => written.startsWith(one))!;
    expect(read(format, cut(written, [3]), [], tokenizer)).toEqual({ text: written, calls: [] });
    const { text, calls } = read(format, ['As ', begin, written.slice(begin.length)], [], tokenizer);
    expect(text).toBe('As ');
    expect(calls.map(({ name, arguments: json }) => [name, JSON.parse(json)])).toEqual([['find', { n: 1 }]]);
  });

  it('streams arguments before the call has ended', () => {
    const long = 'x'.repeat(50);
    const written = write([{ name: 'say', arguments: { text: long } }]);
    const cutAt = written.indexOf(long) + 20;
    const streamed = read(format, [written.slice(0, cutAt)], toolsOf([{ name: 'say', arguments: { text: long } }]));
    expect(streamed.calls[0]!.name).toBe('say');
    // Python's and Gemma's values are translated whole.
    if (!['gemma4', 'lfm2'].includes(format)) expect(streamed.calls[0]!.arguments).toContain('x'.repeat(15));
  });
});

describe('further ways to write calls', () => {
  const find = { name: 'find', arguments: '{"n": 1}' };
  it.each<[format: string, text: string, calls: object[]]>([
    ['hermes', '<tool_call>{"arguments": {"n": 1}, "name": "find"}</tool_call>', [find]],
    ['hermes', '<tool_call>{"name": "find", "arguments": "{\\"n\\": 1}"}</tool_call>', [find]],
    [
      'mistral',
      '[TOOL_CALLS][{"name": "find", "arguments": {"n": 1}}, {"name": "find", "arguments": {"n": 1}}]',
      [find, find],
    ],
    ['mistral', '[TOOL_CALLS]find[CALL_ID]a1[ARGS]{"n": 1}', [{ ...find, id: 'a1' }]],
    [
      'deepseek',
      '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>find\n```json\n{"n": 1}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
      [find],
    ],
    [
      'kimi',
      '<|tool_calls_section_begin|><|tool_call_begin|>functions.find:3<|tool_call_argument_begin|>{"n": 1}<|tool_call_end|><|tool_calls_section_end|>',
      [{ ...find, id: 'functions.find:3' }],
    ],
    ['glm', '<tool_call>find<arg_key>n</arg_key><arg_value>1</arg_value></tool_call>', [find]],
    ['glm', '<tool_call>find</tool_call>', [{ name: 'find', arguments: '{}' }]],
    [
      'qwen-coder',
      '<tool_call><function=find><parameter=n>True</parameter></function></tool_call>',
      [{ name: 'find', arguments: '{"n": true}' }],
    ],
    [
      'qwen-coder',
      '<tool_call><function=find><parameter=n>constructor</parameter></function></tool_call>',
      [{ name: 'find', arguments: '{"n": "constructor"}' }],
    ],
    [
      'dsml',
      '<｜DSML｜tool_calls><｜DSML｜invoke name="find"><｜DSML｜parameter name="n" string="false">1</｜DSML｜parameter></｜DSML｜invoke></｜DSML｜tool_calls>',
      [find],
    ],
    [
      'gemma4',
      '<|tool_call>call:find{n:12345678901234567890,of:{x:1e999,y:[true, no]}}<tool_call|>',
      [{ name: 'find', arguments: '{"n": 12345678901234567890, "of": {"x":1e999,"y":[true,"no"]}}' }],
    ],
  ])('%s: %s', (format, text, calls) => {
    expect(read(format, [text], [])).toEqual({ text: '', calls });
  });
});

describe('a template', () => {
  it.each([
    ['hermes', QWEN3],
    ['harmony', GPT_OSS],
    ['glm', '… <tool_call>{name}<arg_key>…'],
    ['qwen-coder', '… <tool_call>\n<function=…'],
    [undefined, '{{ messages }}'],
  ])('shows its format: %s', (name, template) => {
    expect(toolFormat(template)?.name).toBe(name);
  });
});
