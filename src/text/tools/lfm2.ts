import { json, tag } from '../grammar/outline.js';
import type { ToolFormat } from './format.js';
import { Parameters } from './parameters.js';
import { Malformed, type Reading } from './reading.js';
import type { Scanner } from './scanner.js';
import { type Argument, separated } from './written.js';

const END = '<|tool_call_end|>';
const WORDS: Readonly<Record<string, unknown>> = {
  True: true,
  False: false,
  None: null,
  true: true,
  false: false,
  null: null,
};
const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', b: '\b', f: '\f' };

/** `<|tool_call_start|>[name(key="text", other=1)]<|tool_call_end|>`, as Python writes calls: LFM2. */
export const lfm2: ToolFormat = {
  name: 'lfm2',
  // An older template only names the list of tools; its models write calls all the same.
  fits: (template) => template.includes('<|tool_call_start|>') || template.includes('<|tool_list_start|>'),
  begins: ['<|tool_call_start|>'],
  marks: [END],
  written: () => ({
    begin: '<|tool_call_start|>[',
    between: ', ',
    end: `]${END}`,
    call: (name, parameters) => {
      const argument = (of: Argument) => tag(`${of.name}=`, json(of.schema), '');
      return tag(`${name}(`, separated(parameters, ', ', argument), ')');
    },
  }),
  *read(scanner, sink) {
    yield* scanner.space();
    if (!(yield* scanner.take('['))) throw new Malformed();
    for (;;) {
      yield* scanner.space();
      if (yield* scanner.take(']')) break;
      if (yield* scanner.take(',')) continue;
      sink.begin((yield* scanner.text('(')).text.trim());
      const parameters = new Parameters(sink);
      for (;;) {
        yield* scanner.space();
        if (yield* scanner.take(')')) break;
        if (yield* scanner.take(',')) continue;
        const name = (yield* scanner.text('=')).text.trim();
        parameters.json(name, JSON.stringify(yield* value(scanner)));
      }
      parameters.end();
    }
    yield* scanner.text(END);
  },
};

/** A value as Python writes it; JSON's words are known too. */
function* value(scanner: Scanner): Reading<unknown> {
  yield* scanner.space();
  const first = yield* scanner.character();
  if (first === '"' || first === "'") return yield* string(scanner, first);
  if (first === '[' || first === '(') return yield* items(scanner, first === '[' ? ']' : ')');
  if (first === '{') return yield* dictionary(scanner);
  let literal = first;
  for (let next = yield* scanner.peek(); next !== undefined && /[-+.\w]/.test(next); next = yield* scanner.peek()) {
    literal += yield* scanner.character();
  }
  if (Object.hasOwn(WORDS, literal)) return WORDS[literal];
  const number = Number(literal.replaceAll('_', ''));
  if (Number.isNaN(number)) throw new Malformed();
  return Math.max(-Number.MAX_VALUE, Math.min(Number.MAX_VALUE, number)); // of which JSON has no more
}

function* string(scanner: Scanner, quote: string): Reading<string> {
  for (let text = ''; ; ) {
    const character = yield* scanner.character();
    if (character === quote) return text;
    if (character !== '\\') text += character;
    else {
      const escaped = yield* scanner.character();
      text += escaped === 'u' ? yield* unit(scanner) : (ESCAPES[escaped] ?? escaped);
    }
  }
}

/** Four hexadecimal digits. */
function* unit(scanner: Scanner): Reading<string> {
  let digits = '';
  while (digits.length < 4) digits += yield* scanner.character();
  if (!/^[\dA-Fa-f]{4}$/.test(digits)) throw new Malformed();
  return String.fromCharCode(Number.parseInt(digits, 16));
}

function* items(scanner: Scanner, end: string): Reading<unknown[]> {
  for (const found: unknown[] = []; ; ) {
    yield* scanner.space();
    if (yield* scanner.take(end)) return found;
    if (!(yield* scanner.take(','))) found.push(yield* value(scanner));
  }
}

function* dictionary(scanner: Scanner): Reading<object> {
  for (const found: [string, unknown][] = []; ; ) {
    yield* scanner.space();
    if (yield* scanner.take('}')) return Object.fromEntries(found);
    if (yield* scanner.take(',')) continue;
    const key = yield* value(scanner);
    yield* scanner.space();
    if (!(yield* scanner.take(':'))) throw new Malformed();
    found.push([String(key), yield* value(scanner)]);
  }
}
