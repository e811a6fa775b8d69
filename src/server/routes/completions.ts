import { z } from 'zod';
import { openaiErrors } from '../errors.js';
import { Events } from '../events.js';
import { completionEvents, wholeCompletion } from '../openai/completion.js';
import { formFields } from '../openai/format.js';
import { refused } from '../openai/refusals.js';
import { generateOptions, ofChoice, samplingFields } from '../openai/sampling.js';
import type { Route } from '../route.js';

type Prompts = readonly (string | readonly number[])[];

const isIds = (value: unknown): value is number[] =>
  Array.isArray(value) && value.length > 0 && value.every((id) => Number.isSafeInteger(id) && id >= 0);
const isText = (value: unknown): value is string => typeof value === 'string';

/** Seen in one pass and not by a schema for each: a list may have a million of them. */
const prompts = z
  .custom<string | number[] | Prompts>(
    (value) =>
      isText(value) ||
      isIds(value) ||
      (Array.isArray(value) && value.length > 0 && value.every((one) => isText(one) || isIds(one))),
    'must be a text, a list of token ids, or a list of such',
  )
  .transform((value): Prompts => (isText(value) || isIds(value) ? [value] : (value as Prompts)));

const noForm = refused('an answer is held to a form in conversations alone; ask at /v1/chat/completions');

const isFalse = (value: unknown) => value === false;

const body = z.object({
  ...samplingFields,
  model: z.string().nullish(),
  prompt: prompts,
  stream: z.boolean().nullish(),
  stream_options: z.object({ include_usage: z.boolean().nullish() }).nullish(),
  logprobs: z.int().min(0).max(20).nullish(),
  ...Object.fromEntries(Object.keys(formFields).map((name) => [name, noForm])),
  best_of: refused('answers are not compared here; give n', (value) => value === 1),
  suffix: refused('a text is continued here and not filled in', (value) => value === ''),
  echo: refused('the prompt is not given back', isFalse),
});

/** OpenAI's continuation of texts. */
export const completions: Route<z.infer<typeof body>> = {
  method: 'POST',
  path: '/v1/completions',
  body,
  errors: openaiErrors,
  async answer({ body: asked, service, signal }) {
    const model = service.named(asked.model ?? undefined);
    const logprobs = asked.logprobs ?? undefined;
    const options = {
      ...generateOptions(asked),
      ...(logprobs !== undefined && { logprobs: Math.max(1, logprobs) }),
    };
    const each = asked.n ?? 1;
    const { answers } = await service.answer(
      { count: asked.prompt.length * each, signal },
      async () => {
        const read = asked.prompt.map((prompt) => (typeof prompt === 'string' ? service.model.encode(prompt) : prompt));
        return (await Promise.all(read)).flatMap((prompt) => Array(each).fill(prompt));
      },
      (index) => ofChoice(options, index % each),
    );
    const form = { model, logprobs, each, includeUsage: asked.stream_options?.include_usage === true };
    return asked.stream ? new Events(completionEvents(answers, form)) : wholeCompletion(answers, form);
  },
};
