import { FiddlerError } from '../../errors.js';
import { isRange, MOST_INTEGERS, type Schema, withNamedAlternatives } from './alternatives.js';
import { References } from './references.js';

export type { Schema } from './alternatives.js';

/** Keywords that are kept by masks. */
export const KEPT: ReadonlySet<string> = new Set([
  ...['type', 'properties', 'required', 'additionalProperties', 'items', 'enum', 'const', 'anyOf', '$ref'],
  ...['minItems', 'maxItems', 'minLength', 'maxLength', 'minimum', 'maximum'],
]);
/** Keywords that ask for nothing, or hold schemas that others refer to. */
const HARMLESS = new Set([
  ...[
    '$schema',
    '$id',
    '$defs',
    'definitions',
    '$comment',
    'title',
    'description',
    'default',
    'examples',
    'deprecated',
  ],
]);
/** UTF-16 code units of a schema's text. */
const LONGEST = 1 << 16;
/** More is compiled for long. */
const LARGEST_COUNT = 1000;
const COUNTS = [
  ['minItems', 'maxItems'],
  ['minLength', 'maxLength'],
] as const;
/** Keywords that hold schemas by names. */
export const NAMED = ['properties', '$defs', 'definitions'];

/**
 * Refuses what masks would not keep, so that no answer looks right and is not.
 * @returns the text of a schema that means the same
 * @throws FiddlerError `usage` (too long), `unsupported` (a keyword, or what makes no sense)
 */
export function checkSchema(schema: Schema): string {
  const text = JSON.stringify(schema);
  if (text.length > LONGEST) {
    throw new FiddlerError('usage', `the JSON schema is longer than ${LONGEST} characters`, 'ask for less at a time');
  }
  const schemas = new Map<unknown, string>();
  checkKeywords(schema, '', schemas);
  checkReferences(schema, schemas);
  return JSON.stringify(withNamedAlternatives(schema));
}

/** @param schemas gets each with its path */
function checkKeywords(schema: unknown, path: string, schemas: Map<unknown, string>): void {
  if (typeof schema === 'boolean') return;
  if (!isObject(schema)) throw refusal(path, 'is no schema');
  schemas.set(schema, path);
  for (const [key, value] of Object.entries(schema)) {
    const at = `${path}/${key}`;
    if (!KEPT.has(key) && !HARMLESS.has(key)) throw refusal(at, 'is not kept');
    FORMS[key]?.(value, at);
    if (NAMED.includes(key)) {
      for (const [name, inner] of Object.entries(value as object)) checkKeywords(inner, `${at}/${name}`, schemas);
    } else if (key === 'anyOf') {
      for (const [i, inner] of (value as unknown[]).entries()) checkKeywords(inner, `${at}/${i}`, schemas);
    } else if (key === 'items' || key === 'additionalProperties') checkKeywords(value, at, schemas);
  }
  for (const alone of ['enum', 'const', 'anyOf', '$ref']) {
    const others = Object.keys(schema).filter((key) => key !== alone && key !== 'type' && KEPT.has(key));
    if (alone in schema && others.length > 0) throw refusal(`${path}/${others[0]}`, `is not kept beside ${alone}`);
  }
  checkRange(schema, path);
  for (const [least, most] of COUNTS) {
    if ((schema[least] as number) > (schema[most] as number)) throw refusal(`${path}/${least}`, `is more than ${most}`);
  }
  if ('additionalProperties' in schema && 'required' in schema) checkRequired(schema, path);
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Refuses a value that its keyword cannot have. */
type Form = (value: unknown, at: string) => void;

const refuseUnless =
  (fits: (value: unknown) => boolean, problem: string): Form =>
  (value, at) => {
    if (!fits(value)) throw refusal(at, problem);
  };
const isList = (value: unknown) => Array.isArray(value) && value.length > 0;
const isCount = (value: unknown) =>
  Number.isInteger(value) && 0 <= (value as number) && (value as number) <= LARGEST_COUNT;

const FORMS: Readonly<Record<string, Form>> = {
  ...Object.fromEntries(NAMED.map((key) => [key, refuseUnless(isObject, 'is no object')])),
  ...Object.fromEntries(
    COUNTS.flat().map((key) => [key, refuseUnless(isCount, `is no whole number from 0 to ${LARGEST_COUNT}`)]),
  ),
  anyOf: refuseUnless(isList, 'is no list with parts'),
  enum: refuseUnless(isList, 'is no list with parts'),
  required: refuseUnless(
    (value) => Array.isArray(value) && value.every((name) => typeof name === 'string'),
    'is no list of texts',
  ),
  $ref: refuseUnless((value) => typeof value === 'string' && /^#(\/|$)/.test(value), 'refers to another document'),
};

/** @param schemas that were checked: nothing else may be referred to */
function checkReferences(root: Schema, schemas: ReadonlyMap<unknown, string>): void {
  const references = new References(root);
  for (const [schema, path] of schemas) {
    const { $ref } = schema as Record<string, unknown>;
    const target = typeof $ref === 'string' ? references.target($ref) : true;
    if (typeof target !== 'boolean' && !schemas.has(target)) throw refusal(`${path}/$ref`, 'refers to no schema');
  }
  for (const [schema, path] of schemas) if (references.isEndless(schema)) throw refusal(path, 'refers to itself');
}

/** What is required must be described. */
function checkRequired({ properties = {}, required }: Record<string, unknown>, path: string): void {
  const missing = (required as string[]).find((name) => !Object.hasOwn(properties as object, name));
  if (missing !== undefined) throw refusal(`${path}/required`, `names ${missing}, which properties does not`);
}

const SAFE = Number.MAX_SAFE_INTEGER;

export function checkRange(given: Record<string, unknown>, path: string): void {
  const { type, minimum, maximum } = given;
  if (minimum === undefined && maximum === undefined) return;
  if (isRange(given)) {
    if (Math.ceil(given.minimum) > Math.floor(given.maximum)) throw refusal(path, 'allows no number');
    return;
  }
  const isSafe = minimum === -SAFE && maximum === SAFE;
  const isFromZero = (minimum === 0 || minimum === 1) && maximum === undefined;
  if (type === 'integer' && (isSafe || isFromZero)) return;
  const problem = `is not kept, but for integers from 0 or 1 on, or in a range of up to ${MOST_INTEGERS}`;
  throw refusal(`${path}/${minimum === undefined ? 'maximum' : 'minimum'}`, problem);
}

function refusal(path: string, problem: string): FiddlerError {
  return new FiddlerError('unsupported', `the JSON schema's ${path || 'root'} ${problem}`, 'leave it out');
}
