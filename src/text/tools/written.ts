import {
  anyText,
  either,
  json,
  type Outline,
  optional,
  sequence,
  type Tag,
  tag,
  tags,
  text,
} from '../grammar/outline.js';
import { relaxed } from '../grammar/relaxed.js';
import type { Schema } from '../grammar/schema.js';
import type { CallForm, Tool } from './format.js';

/** Calls of some tools as a model writes them, one or, unless `once`, more. */
export function callsOutline({ begin, between, end, call }: CallForm, of: readonly Tool[], once: boolean): Outline {
  const written = of.map(({ function: { name, parameters } }): Tag => call(name, relaxed(parameters ?? {})));
  if (once || between === undefined) return sequence(text(begin), either(written), text(end));
  const calls = tags(written, between);
  // The grammar engine takes repeated tags at the end alone, or within others.
  return end === '' ? sequence(text(begin), calls) : tag(begin, calls, end);
}

/** An argument of a call. */
export interface Argument {
  name: string;
  /** What it must be; a reference leads into `$defs` that it has itself. */
  schema: Schema;
  /** Whether it is read as a text, and not as JSON. */
  isText: boolean;
}

interface Written {
  of: Outline;
  isRequired: boolean;
}

function argumentsOf({ properties = {}, required, $defs, definitions }: Schema, write: (of: Argument) => Outline) {
  const names = new Set(Array.isArray(required) ? required : []);
  return Object.entries(properties as Record<string, Schema>).map(([name, schema]): Written => {
    const whole = {
      ...schema,
      ...($defs !== undefined && { $defs }),
      ...(definitions !== undefined && { definitions }),
    };
    const of = write({ name, schema: whole, isText: schema.type === 'string' });
    return { of, isRequired: names.has(name) };
  });
}

/** Arguments behind each other, as the schema has them. */
export function inOrder(schema: Schema, write: (of: Argument) => Outline): Outline {
  return sequence(...argumentsOf(schema, write).map(({ of, isRequired }) => (isRequired ? of : optional(of))));
}

/** Arguments with a text between them, those that are required first. */
export function separated(schema: Schema, separator: string, write: (of: Argument) => Outline): Outline {
  const all = argumentsOf(schema, write);
  const required = all.filter(({ isRequired }) => isRequired).map(({ of }) => of);
  const others = all.filter(({ isRequired }) => !isRequired).map(({ of }) => of);
  const behind = (of: Outline) => sequence(text(separator), of);
  const rest = (from: number) => others.slice(from).map((of) => optional(behind(of)));
  if (required.length > 0) return sequence(required[0]!, ...required.slice(1).map(behind), ...rest(0));
  const firsts = others.map((of, i) => sequence(of, ...rest(i + 1)));
  return firsts.length === 0 ? text('') : optional(either(firsts));
}

/** A value among tags: texts as they are, all else as JSON. Free text needs a tag's end behind it. */
export function plain({ schema, isText }: Argument): Outline {
  if (!isText) return json(schema);
  const { enum: values, const: only } = schema;
  const of = Array.isArray(values) ? values : only !== undefined ? [only] : undefined;
  return of ? either(of.map((value) => text(String(value)))) : anyText;
}
