import { z } from 'zod';
import { HttpError } from './errors.js';

/** Levels of lists and objects in a body: schemas of tools have some ten. */
const DEEPEST = 100;

/** Lists, objects and members in a body: what is read is read at once, and others wait for some 0.1 µs for each of them. */
const MOST_PARTS = 50_000;

/** A JSON body. @throws HttpError 400: it is not JSON, too deep, or has too many parts */
export function parseBody(text: string): unknown {
  checkParts(text);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new HttpError(400, 'invalid_json', `the body is not JSON: ${(error as Error).message}`, { cause: error });
  }
}

const [QUOTE, BACKSLASH, COLON] = [0x22, 0x5c, 0x3a];
/** Of both kinds of brackets, once their case is taken away. */
const [OPENING, CLOSING, CASE] = [0x7b, 0x7d, 0x20];

/** Seen from the text, in one pass: what is parsed may have millions of parts. @throws HttpError 400 */
function checkParts(text: string): void {
  let [depth, deepest, parts] = [0, 0, 0];
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) at = endOfString(text, at + 1);
    else if (code === COLON) parts++;
    else if ((code | CASE) === OPENING) {
      parts++;
      deepest = Math.max(deepest, ++depth);
    } else if ((code | CASE) === CLOSING) depth--;
    if (deepest > DEEPEST) throw new HttpError(400, 'invalid_json', `the body is deeper than ${DEEPEST} levels`);
    if (parts > MOST_PARTS) throw new HttpError(400, 'invalid_json', `the body has more than ${MOST_PARTS} parts`);
  }
}

/** Where the quotation mark is that ends a string. */
function endOfString(text: string, begin: number): number {
  for (let at = begin; ; at++) {
    at = text.indexOf('"', at);
    if (at < 0) return text.length;
    let escapes = 0;
    while (text.charCodeAt(at - 1 - escapes) === BACKSLASH) escapes++;
    if (escapes % 2 === 0) return at;
  }
}

/** A list of at most `most`, seen before each of its parts is looked at. */
export function listOf<T extends z.ZodType>(item: T, most: number, least = 0) {
  const counted = z.custom<unknown[]>((value) => Array.isArray(value), 'expected a list');
  const fits = counted.refine(({ length }) => length >= least && length <= most, `must have ${least} to ${most} parts`);
  return fits.pipe(z.array(item));
}

/** `value` as `schema` reads it. @throws HttpError 400 that names the field */
export function check<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const { message, param } = describe(result.error.issues[0]!);
  throw new HttpError(400, 'invalid_value', param === undefined ? message : `${param}: ${message}`, { param });
}

/** Of a choice of forms, what the one says that got furthest. */
function describe(issue: z.core.$ZodIssue): { message: string; param: string | undefined } {
  if (issue.code === 'invalid_union' && issue.errors.length > 0) {
    const first = issue.errors.flatMap((of) => of.slice(0, 1));
    const deepest = first.sort((a, b) => b.path.length - a.path.length)[0];
    if (deepest && deepest.path.length > 0) {
      return describe({ ...deepest, path: [...issue.path, ...deepest.path] } as z.core.$ZodIssue);
    }
  }
  const message = issue.message.replace(/^Invalid input: /, '');
  return { message, param: issue.path.length === 0 ? undefined : issue.path.map(String).join('.') };
}
