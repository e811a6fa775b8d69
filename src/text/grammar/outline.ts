import { FiddlerError } from '../../errors.js';
import { checkSchema, type Schema } from './schema.js';

/** What is between two texts; free text has nothing that `end` begins with. */
export interface Tag {
  type: 'tag';
  begin: string;
  content: Outline;
  end: string;
}

/** What a text must be, in the form of XGrammar's structural tags. */
export type Outline =
  | Tag
  | { type: 'const_string'; value: string }
  | { type: 'json_schema'; json_schema: Schema }
  | { type: 'regex'; pattern: string }
  | { type: 'grammar'; grammar: string }
  | { type: 'any_text' }
  | { type: 'sequence' | 'or'; elements: readonly Outline[] }
  | {
      type: 'tags_with_separator';
      tags: readonly Tag[];
      separator: string;
      at_least_one: boolean;
    };

/** What an answer must be as a whole; one of them. */
export interface Form {
  /** JSON of this schema, in one line. */
  schema?: Schema;
  /** A regular expression that all of it fits. */
  regex?: string;
  /** EBNF as XGrammar reads it (and GBNF), whose rule `root` all of it fits. */
  grammar?: string;
  /** One of these texts. */
  choice?: readonly string[];
}

/** UTF-16 code units of an expression, or a grammar. */
const LONGEST = 1 << 14;

/** @throws FiddlerError `usage`, `unsupported` */
export function formOutline({ schema, regex, grammar, choice }: Form): Outline | undefined {
  const given = [schema, regex, grammar, choice].filter((one) => one !== undefined);
  if (given.length > 1) {
    throw new FiddlerError('usage', 'an answer is held to one form, and several were given', 'leave all but one out');
  }
  if (schema !== undefined) return json(schema);
  if (choice !== undefined) return either(choice.map(text));
  const source = regex ?? grammar;
  if (source === undefined) return undefined;
  if (source.length > LONGEST) {
    throw new FiddlerError('usage', `what an answer is held to is longer than ${LONGEST} characters`, 'ask for less');
  }
  return regex !== undefined ? { type: 'regex', pattern: regex } : { type: 'grammar', grammar: source };
}

/** @throws FiddlerError as {@link checkSchema} */
export function json(schema: Schema): Outline {
  return { type: 'json_schema', json_schema: JSON.parse(checkSchema(schema)) };
}

const NOTHING: Outline = { type: 'grammar', grammar: 'root ::= ""' };

export function text(value: string): Outline {
  return value === '' ? NOTHING : { type: 'const_string', value };
}

export const anyText: Outline = { type: 'any_text' };

export function sequence(...elements: readonly Outline[]): Outline {
  return elements.length === 0 ? NOTHING : { type: 'sequence', elements };
}

export function either(elements: readonly Outline[]): Outline {
  return elements.length === 1 ? elements[0]! : { type: 'or', elements };
}

export const optional = (of: Outline): Outline => either([of, NOTHING]);

export function tag(begin: string, content: Outline, end: string): Tag {
  return { type: 'tag', begin, content, end };
}

/** One of some tags, or several behind each other. */
export function tags(of: readonly Tag[], separator: string, least = 1): Outline {
  return { type: 'tags_with_separator', tags: of, separator, at_least_one: least > 0 };
}
