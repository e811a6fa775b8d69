import { z } from 'zod';
import type { AnswerOptions, Tool } from '../../index.js';
import { listOf } from '../body.js';
import { HttpError } from '../errors.js';

/** Tools of one request. */
const MOST_TOOLS = 512;

const parameters = z.record(z.string(), z.unknown()).nullish();
const name = z.string().regex(/^[\w.-]{1,128}$/, 'must be a name of letters, digits, "_", "-" and "."');

const tool = z
  .object({
    type: z.literal('function', 'must be function: nothing else is called here'),
    function: z.object({ name, description: z.string().nullish(), parameters }),
  })
  .transform(({ function: called }) => toolOf(called.name, called.description, called.parameters));

export const toolFields = {
  tools: listOf(tool, MOST_TOOLS).nullish(),
  tool_choice: z
    .union([
      z.enum(['none', 'auto', 'required']),
      z.object({ type: z.literal('function'), function: z.object({ name: z.string() }) }),
    ])
    .nullish(),
  parallel_tool_calls: z.boolean().nullish(),
};

/** A tool as templates take it. */
export function toolOf(
  called: string,
  description: string | null | undefined,
  schema: Readonly<Record<string, unknown>> | null | undefined,
): Tool {
  return {
    type: 'function',
    function: {
      name: called,
      description: description ?? '',
      parameters: schema ?? { type: 'object', properties: {} },
    },
  };
}

/** What a request wants of tools, in the words of any of the APIs. */
export interface ToolWish {
  tools: readonly Tool[];
  /** Calls in one answer. */
  most: number;
  /** As options of an answer. */
  options: Pick<AnswerOptions, 'call' | 'oneCall'>;
}

/** @throws HttpError 400: a call that is asked for is of no tool */
export function toolWish(
  tools: readonly Tool[] | null | undefined,
  choice: 'none' | 'auto' | 'required' | { name: string },
  parallel: boolean | null | undefined,
): ToolWish {
  const given = choice === 'none' ? [] : (tools ?? []);
  const call = typeof choice === 'object' ? choice.name : choice === 'required';
  const isThere = typeof call === 'string' ? given.some((one) => one.function.name === call) : given.length > 0;
  if (call !== false && !isThere) {
    const problem = 'tool_choice: there is no such tool among those that are given';
    throw new HttpError(400, 'invalid_value', problem, { param: 'tool_choice' });
  }
  return {
    tools: given,
    most: parallel === false ? 1 : Number.POSITIVE_INFINITY,
    options: { ...(call !== false && { call }), ...(parallel === false && { oneCall: true }) },
  };
}
