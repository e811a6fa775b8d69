import type { CallSink } from './format.js';
import { Malformed, type Reading } from './reading.js';
import type { Scanner } from './scanner.js';

/** Reads one JSON value, whose text goes to `onText` as it comes. @throws Malformed: it does not begin as one, or ends before */
export function* jsonValue(scanner: Scanner, onText: (text: string) => void): Reading {
  const first = yield* scanner.character();
  onText(first);
  if (first === '"') yield* restOfString(scanner, onText);
  else if (first === '{' || first === '[') yield* restOfNested(scanner, onText);
  else if (/[-\dtfn]/.test(first)) yield* restOfLiteral(scanner, onText);
  else throw new Malformed();
}

function* restOfString(scanner: Scanner, onText: (text: string) => void): Reading {
  for (;;) {
    const character = yield* scanner.character();
    onText(character === '\\' ? character + (yield* scanner.character()) : character);
    if (character === '"') return;
  }
}

function* restOfNested(scanner: Scanner, onText: (text: string) => void): Reading {
  for (let depth = 1; depth > 0; ) {
    const character = yield* scanner.character();
    onText(character);
    if (character === '"') yield* restOfString(scanner, onText);
    else if (character === '{' || character === '[') depth++;
    else if (character === '}' || character === ']') depth--;
  }
}

function* restOfLiteral(scanner: Scanner, onText: (text: string) => void): Reading {
  for (let next = yield* scanner.peek(); next !== undefined && /[-+.\w]/.test(next); next = yield* scanner.peek()) {
    onText(yield* scanner.character());
  }
}

/** A JSON value, all at once. */
function* wholeValue(scanner: Scanner): Reading<string> {
  let text = '';
  yield* jsonValue(scanner, (piece) => {
    text += piece;
  });
  return text;
}

/** Reads the JSON object of a call's arguments. */
export function* jsonArguments(scanner: Scanner, sink: CallSink): Reading {
  yield* scanner.space();
  if ((yield* scanner.peek()) !== '{') throw new Malformed();
  yield* jsonValue(scanner, (text) => sink.arguments(text));
}

/** Reads `{"name": …, "arguments": {…}}`, in any order. */
export function* jsonCall(scanner: Scanner, sink: CallSink): Reading {
  yield* scanner.space();
  if (!(yield* scanner.take('{'))) throw new Malformed();
  let begun = false;
  let early: string | undefined;
  let id: string | undefined;
  for (;;) {
    yield* scanner.space();
    if (yield* scanner.take('}')) break;
    if (yield* scanner.take(',')) continue;
    const key: unknown = parsed(yield* wholeValue(scanner));
    yield* scanner.space();
    if (!(yield* scanner.take(':'))) throw new Malformed();
    yield* scanner.space();
    if (key === 'name') {
      sink.begin(textOf(yield* wholeValue(scanner)), id);
      begun = true;
      if (early !== undefined) sink.arguments(early);
    } else if (key === 'arguments' || key === 'parameters') {
      const isObject = (yield* scanner.peek()) === '{';
      if (begun && isObject) yield* jsonArguments(scanner, sink);
      else {
        const value = yield* wholeValue(scanner);
        const text = isObject ? value : textOf(value); // some write the object's text as a string
        if (begun) sink.arguments(text);
        else early = text;
      }
    } else {
      const value = parsed(yield* wholeValue(scanner));
      if (key === 'id' && typeof value === 'string') id = value;
    }
  }
  if (!begun) throw new Malformed();
}

function textOf(json: string): string {
  const value = parsed(json);
  if (typeof value !== 'string') throw new Malformed();
  return value;
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    throw new Malformed();
  }
}
