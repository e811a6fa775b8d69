import { z } from 'zod';
import type { AnswerOptions } from '../../index.js';
import { check, parseBody } from '../body.js';
import { HttpError } from '../errors.js';
import { refused } from './refusals.js';

type Schema = NonNullable<AnswerOptions['schema']>;
type Form = Pick<AnswerOptions, 'schema' | 'regex' | 'grammar' | 'choice'>;
const schema = z.record(z.string(), z.unknown());
const ANY_OBJECT: Schema = { type: 'object', additionalProperties: true };
const MOST_CHOICES = 1024;
/** Some clients write a schema as its text. */
const writtenSchema = z.union([schema, z.string()]).nullish();
const choices = z.array(z.string().min(1)).min(1).max(MOST_CHOICES).nullish();

/** `response_format` of /v1/chat/completions. */
export const responseFormat = z
  .discriminatedUnion('type', [
    z.object({ type: z.literal('text') }),
    z.object({ type: z.literal('json_object') }),
    z.object({ type: z.literal('json_schema'), json_schema: z.object({ schema }) }),
  ])
  .transform((format) => schemaOf(format.type, format.type === 'json_schema' ? format.json_schema.schema : undefined));

/** `text.format` of /v1/responses, and `output_config.format` of /v1/messages. */
export const flatFormat = z
  .discriminatedUnion('type', [
    z.object({ type: z.literal('text') }),
    z.object({ type: z.literal('json_object') }),
    z.object({ type: z.literal('json_schema'), schema }),
  ])
  .transform((format) => schemaOf(format.type, format.type === 'json_schema' ? format.schema : undefined));

function schemaOf(type: string, given: Schema | undefined): Schema | undefined {
  return type === 'json_object' ? ANY_OBJECT : given;
}

/** What an answer must be, in the extra fields that local servers have for it: vLLM's, older ones too, and llama.cpp's. */
export const formFields = {
  structured_outputs: z
    .object({
      json: writtenSchema,
      regex: z.string().nullish(),
      grammar: z.string().nullish(),
      choice: choices,
      json_object: z.boolean().nullish(),
      structural_tag: refused('is not read; give json, regex, grammar or choice'),
    })
    .nullish(),
  guided_json: writtenSchema,
  guided_regex: z.string().nullish(),
  guided_grammar: z.string().nullish(),
  guided_choice: choices,
  grammar: z.string().nullish(),
};
type FormFields = z.infer<z.ZodObject<typeof formFields>>;

/** The form that these fields ask for, in the words of the library. @throws HttpError 400: a schema is no JSON */
export function formOf(fields: FormFields, held?: Schema | null): Form {
  const { json, regex, grammar, choice, json_object } = fields.structured_outputs ?? {};
  const schemas = [held, parsed(json), parsed(fields.guided_json), json_object && ANY_OBJECT];
  return Object.fromEntries(
    Object.entries({
      schema: schemas.find(Boolean),
      regex: regex || fields.guided_regex,
      grammar: grammar || fields.guided_grammar || fields.grammar,
      choice: choice ?? fields.guided_choice,
    }).filter(([, value]) => value !== undefined && value !== null && value !== ''),
  );
}

function parsed(given: Schema | string | null | undefined): Schema | undefined {
  if (typeof given !== 'string') return given ?? undefined;
  return check(schema, parseBody(given));
}

/** The form of an answer as options. @throws HttpError 400: it is asked for beside what would break it */
export function heldTo(form: Form, ignoreEnd: boolean | null | undefined, param: string): Form {
  if (Object.keys(form).length === 0 || !ignoreEnd) return form;
  throw new HttpError(400, 'unsupported', `${param}: a form of the answer and ignore_eos cannot be had together`, {
    param,
  });
}
