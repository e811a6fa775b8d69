import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import type { GeneratedToken } from '../../../src/report.js';
import { formOutline } from '../../../src/text/grammar/outline.js';
import { relaxed } from '../../../src/text/grammar/relaxed.js';
import { reasoningParser } from '../../../src/text/reasoning/index.js';
import { loadTokenizer, type Tokenizer } from '../../../src/text/tokenizer.js';
import type { Tool } from '../../../src/text/tools/format.js';
import { namedFormat } from '../../../src/text/tools/index.js';
import { CallReader } from '../../../src/text/tools/reader.js';
import type { AnswerOptions } from '../../../src/thread/generation.js';
import { heldTo } from '../../../src/thread/held.js';
import { TextWriter } from '../../../src/thread/writer.js';
import { numbersFrom } from '../../support/numbers.js';
import { bundled, grammarsOf, sampledAnswer, sampledTokens } from './sampled.js';
import { schemas } from './schemas.js';

const model = bundled();
afterAll(() => model.grammars.close());

describe('an answer', () => {
  const sample = (form: Parameters<typeof formOutline>[0], seed: number) =>
    sampledAnswer(model.grammars, { outline: formOutline(form)! }, { ...model, random: numbersFrom(seed), most: 200 });

  it.each([
    [{ regex: '[a-c]{2,4}@(x|yz)\\.(com|org)' }, /^[a-c]{2,4}@(x|yz)\.(com|org)$/],
    [{ regex: '(\\d{1,3}\\n){2}' }, /^(\d{1,3}\n){2}$/],
    [{ grammar: 'root ::= "(" root ")" | "x"' }, /^\(*x\)*$/],
    [{ grammar: 'root ::= verb " " [a-z] [a-z] "\\n"\nverb ::= "go" | "look"' }, /^(go|look) [a-z]{2}\n$/],
    [{ choice: ['yes', 'no "sir"', '\n'] }, /^(yes|no "sir"|\n)$/],
  ])('fits %j, whatever tokens are chosen', async (form, expected) => {
    let whole = 0;
    for (let seed = 0; seed < 10; seed++) {
      const text = await sample(form, seed);
      if (text === undefined) continue;
      whole++;
      expect(text).toMatch(expected);
    }
    expect(whole).toBeGreaterThan(3);
  });

  it.each([
    [{ grammar: 'root ::= missing' }, '"missing" is not defined'],
    [{ regex: '(a' }, 'parenthesis is not closed'],
    [{ regex: 'a(?=b)' }, 'Lookahead is not supported'],
  ])('cannot be held to %j, and is told why', async (form, problem) => {
    await expect(sample(form, 0)).rejects.toThrow(problem);
    expect(await sample({ choice: ['a'] }, 0)).toBe('a'); // behind it
  });
});

/** Templates that tell variants of a format apart. */
const FORMATS: readonly [format: string, template: string][] = [
  ...['hermes', 'qwen-coder', 'glm', 'kimi', 'minimax', 'dsml', 'gemma4', 'lfm2', 'harmony'].map(
    (name): [string, string] => [name, ''],
  ),
  ['mistral', '[ARGS]'],
  ['mistral', ''],
  ['deepseek', ''],
  ['deepseek', '```json'],
];

/** The bundled model's folder with these texts as tokens. */
function marked(marks: readonly string[]): { tokenizer: Tokenizer; dir: string; vocabulary: number } {
  const dir = mkdtempSync(join(tmpdir(), 'fiddler-test-'));
  for (const file of ['tokenizer.json', 'tokenizer_config.json']) {
    try {
      cpSync(join('models/mini-mixtral', file), join(dir, file));
    } catch {
      // it may have none
    }
  }
  const json = JSON.parse(readFileSync(join(dir, 'tokenizer.json'), 'utf8'));
  const next = Object.keys(json.model.vocab).length;
  for (const [i, content] of marks.entries())
    json.added_tokens.push({ id: next + i, content, special: i % 2 === 0, normalized: false });
  writeFileSync(join(dir, 'tokenizer.json'), JSON.stringify(json));
  return { tokenizer: loadTokenizer(dir)!, dir, vocabulary: next + marks.length };
}

/** Calls in an answer of these tokens, read as an answer is. */
function callsOf(ids: readonly number[], name: string, tools: readonly Tool[], tokenizer: Tokenizer) {
  const calls: { name: string; arguments: string }[] = [];
  let said = '';
  const format = namedFormat(name);
  const reader = new CallReader(format, tools, tokenizer, ({ text, channel, calls: pieces = [] }: GeneratedToken) => {
    if (channel === 'answer') said += text;
    for (const { index, name: called, arguments: more = '' } of pieces) {
      if (called !== undefined) calls[index] = { name: called, arguments: '' };
      calls[index]!.arguments += more;
    }
  });
  const writer = new TextWriter({
    ...{ tokenizer, prompt: [], stop: [] },
    parser: reasoningParser(tokenizer, name === 'harmony' ? [tokenizer.id('<|start|>')!] : []),
    marks: [...format.begins, ...format.marks],
    onToken: reader.push.bind(reader),
  });
  for (const id of ids) writer.push(id);
  writer.finish();
  reader.finish();
  return { calls, said };
}

const word = /^[a-z]{1,6}$/;
/** Arguments as tools of agents describe them, with keywords that masks do not keep. */
const parameters = fc.uniqueArray(fc.stringMatching(word), { minLength: 1, maxLength: 3 }).chain((names) => {
  const kind = fc.oneof(
    fc.constantFrom<Record<string, unknown>>(
      { type: 'string' },
      { type: 'string', pattern: '^x', description: 'a text' },
      { type: 'integer', minimum: 7 },
      { type: 'boolean', default: true },
      { type: 'number' },
      { type: 'string', enum: ['one', 'two words'] },
      { type: 'array', items: { type: 'string' } },
      { type: 'object', properties: { a: { type: 'integer' } }, required: ['a'], additionalProperties: false },
    ),
  );
  return fc.tuple(fc.tuple(...names.map(() => kind)), fc.subarray(names)).map(([kinds, required]) => ({
    type: 'object',
    properties: Object.fromEntries(names.map((name, i) => [name, kinds[i]!])),
    required,
  }));
});

describe.each(FORMATS)('calls that are forced in the format %s %s', (name, template) => {
  const format = namedFormat(name);
  const folder = marked([...format.begins, ...format.marks]);
  const grammars = grammarsOf(folder.dir, folder.vocabulary, [model.end]);
  afterAll(() => {
    grammars.close();
    rmSync(folder.dir, { recursive: true });
  });
  const ajv = new Ajv({ strict: false });
  /** What begins calls and ends free texts: no chance would write it. */
  const phrases = [...format.begins, ...format.marks, '</parameter>', '</｜DSML｜parameter>', '{"name": "f"'].map(
    (text) => folder.tokenizer.encode(text, { addSpecial: false }),
  );

  /** An answer to `options`; undefined where it was cut off. */
  async function answer(options: AnswerOptions, seed: number, tools: readonly Tool[]) {
    const held = heldTo({ ...options, tools }, format, template)!;
    const sampling = { ...folder, end: model.end, random: numbersFrom(seed), most: 200, phrases };
    const ids = await sampledTokens(grammars, held, sampling);
    return ids && callsOf(ids, name, tools, folder.tokenizer);
  }

  it('fit the schema, whatever tokens are chosen', async () => {
    let whole = 0;
    const tools = fc
      .tuple(parameters, parameters)
      .map((both) =>
        both.map((of, i): Tool => ({ type: 'function', function: { name: ['get_it', 'say.so'][i]!, parameters: of } })),
      );
    await fc.assert(
      fc.asyncProperty(tools, fc.integer(), fc.boolean(), async (of, seed, named) => {
        const found = await answer({ call: named ? 'say.so' : true }, seed, of);
        if (!found) return;
        whole++;
        expect(found.said.trim()).toBe('');
        expect(found.calls.length).toBeGreaterThanOrEqual(1);
        if (named) expect(found.calls.map(({ name: called }) => called)).toEqual(['say.so']);
        for (const { name: called, arguments: text } of found.calls) {
          const { parameters: schema } = of.find(({ function: { name: one } }) => one === called)!.function;
          expect(ajv.validate(relaxed(schema!), JSON.parse(text)), `${JSON.stringify(schema)} ${text}`).toBe(true);
        }
      }),
      { numRuns: 12 },
    );
    expect(whole).toBeGreaterThan(0);
  });

  it('stand beside an answer of a form', async () => {
    const tool: Tool = { type: 'function', function: { name: 'f', parameters: { type: 'object', properties: {} } } };
    const kinds = new Set<string>();
    for (let seed = 0; seed < 12; seed++) {
      const found = await answer({ schema: { const: 'an answer' } }, seed, [tool]);
      if (!found) continue;
      kinds.add(found.calls.length > 0 ? `${found.calls[0]!.name} ${found.calls[0]!.arguments}` : found.said);
    }
    expect([...kinds].sort()).toEqual(['"an answer"', 'f {}']);
  });
});

describe('a schema of arguments', () => {
  it('allows what it allowed, where masks do not keep all of it', () => {
    const ajv = new Ajv({ strict: false });
    const strange = { type: 'object', properties: { a: { oneOf: [{ type: 'string', format: 'uri' }, { const: 3 }] } } };
    expect(ajv.validate(relaxed({ ...strange, patternProperties: {} }), { a: 'x' })).toBe(true);
    expect(relaxed(strange)).toEqual({
      type: 'object',
      properties: { a: { anyOf: [{ type: 'string' }, { const: 3 }] } },
    });
    expect(relaxed({ type: 'object', required: ['b'], additionalProperties: false })).toMatchObject({ type: 'object' });
    fc.assert(
      fc.property(
        schemas,
        (schema) => void expect(relaxed({ type: 'object', properties: { a: schema } })).toBeDefined(),
      ),
    );
  });
});
