import { FiddlerError } from '../../errors.js';
import { anyText, either, json, type Outline, tag, tags, text } from '../grammar/outline.js';
import { isObject, type Schema } from '../grammar/schema.js';
import type { ToolFormat } from './format.js';
import { Parameters } from './parameters.js';
import { Malformed, type Reading } from './reading.js';
import type { Scanner } from './scanner.js';
import { separated } from './written.js';

const QUOTE = '<|"|>';

/** `<|tool_call>call:name{key:<|"|>text<|"|>,other:[1,2]}<tool_call|>`: Gemma 4. */
export const gemma4: ToolFormat = {
  name: 'gemma4',
  fits: (template) => template.includes('<|tool_call>call:'),
  begins: ['<|tool_call>'],
  marks: ['<tool_call|>', QUOTE],
  written: () => ({
    begin: '<|tool_call>',
    between: '<tool_call|><|tool_call>',
    end: '<tool_call|>',
    call: (name, parameters) => tag(`call:${name}`, written(parameters), ''),
  }),
  *read(scanner, sink) {
    if (!(yield* scanner.take('call:'))) throw new Malformed();
    sink.begin((yield* scanner.text('{')).text.trim());
    const parameters = new Parameters(sink);
    for (const [key, value] of yield* members(scanner)) parameters.json(key, value);
    parameters.end();
    yield* scanner.text('<tool_call|>');
  },
};

/** What an object holds, behind its opening bracket: keys, and values as JSON. */
function* members(scanner: Scanner): Reading<[string, string][]> {
  const found: [string, string][] = [];
  for (;;) {
    yield* scanner.space();
    if (yield* scanner.take('}')) return found;
    if (yield* scanner.take(',')) continue;
    const quoted = yield* scanner.take(QUOTE);
    const { text: key } = quoted ? yield* scanner.text(QUOTE) : yield* scanner.text(':');
    if (quoted) yield* scanner.text(':');
    found.push([key.trim(), yield* value(scanner)]);
  }
}

/** A value as JSON; numbers as they are written, which may be larger than JavaScript's. */
function* value(scanner: Scanner): Reading<string> {
  yield* scanner.space();
  if (yield* scanner.take(QUOTE)) return JSON.stringify((yield* scanner.text(QUOTE)).text);
  if (yield* scanner.take('{')) {
    const found = yield* members(scanner);
    return `{${found.map(([key, json]) => `${JSON.stringify(key)}:${json}`).join(',')}}`;
  }
  if (yield* scanner.take('[')) {
    const items: string[] = [];
    for (;;) {
      yield* scanner.space();
      if (yield* scanner.take(']')) return `[${items.join(',')}]`;
      if (!(yield* scanner.take(','))) items.push(yield* value(scanner));
    }
  }
  let literal = '';
  for (let next = yield* scanner.peek(); next !== undefined && !/[,}\]]/.test(next); next = yield* scanner.peek()) {
    literal += yield* scanner.character();
  }
  const json = literal.trim();
  if (json === '') throw new Malformed();
  return isJson(json) ? json : JSON.stringify(json);
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

const quoted = (content: Outline): Outline => tag(QUOTE, content, QUOTE);

/** A value of this schema as the format writes it. @throws FiddlerError `unsupported` */
function written(schema: Schema): Outline {
  const { type, enum: values, const: only, items: each, minItems = 0, maxItems } = schema;
  const fixed = Array.isArray(values) ? values : only !== undefined ? [only] : undefined;
  if (fixed?.every((value) => !isObject(value) && !Array.isArray(value))) {
    return either(fixed.map((value) => (typeof value === 'string' ? quoted(text(value)) : json({ const: value }))));
  }
  if (type === 'string') return quoted(anyText);
  if (type === 'integer' || type === 'number' || type === 'boolean' || type === 'null') return json(schema);
  if (type === 'object' && schema.additionalProperties !== true) {
    return tag(
      '{',
      separated(schema, ',', (of) => tag(`${of.name}:`, written(of.schema), '')),
      '}',
    );
  }
  if (type === 'array' && isObject(each) && minItems === 0 && maxItems === undefined) {
    return tag('[', tags([tag('', written(each), '')], ',', 0), ']');
  }
  const problem = 'calls of this model cannot be forced for arguments of so free a form';
  throw new FiddlerError(
    'unsupported',
    problem,
    'give each argument a type, lists without lengths, or leave the choice',
  );
}
