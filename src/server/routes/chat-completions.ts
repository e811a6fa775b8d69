import { z } from 'zod';
import { openaiErrors } from '../errors.js';
import { Events } from '../events.js';
import { chatEvents, wholeChat } from '../openai/chat.js';
import { formFields, formOf, heldTo, responseFormat } from '../openai/format.js';
import { chatMessages } from '../openai/messages.js';
import { effortVariables } from '../openai/reasoning.js';
import { refused } from '../openai/refusals.js';
import { generateOptions, ofChoice, samplingFields } from '../openai/sampling.js';
import { toolFields, toolWish } from '../openai/tools.js';
import type { Route } from '../route.js';

const body = z.object({
  ...samplingFields,
  ...toolFields,
  ...formFields,
  model: z.string().nullish(),
  messages: chatMessages,
  max_completion_tokens: z.int().min(1).nullish(),
  stream: z.boolean().nullish(),
  stream_options: z.object({ include_usage: z.boolean().nullish() }).nullish(),
  logprobs: z.boolean().nullish(),
  top_logprobs: z.int().min(0).max(20).nullish(),
  response_format: responseFormat.nullish(),
  reasoning_effort: z.string().nullish(),
  chat_template_kwargs: z.record(z.string(), z.unknown()).nullish(),
  functions: refused('is the older form of tools, which is not read; give tools'),
  function_call: refused('is the older form of tool_choice, which is not read; give tool_choice'),
  modalities: refused('can only be ["text"]', (value) => Array.isArray(value) && value.every((one) => one === 'text')),
  audio: refused('no model here speaks'),
  web_search_options: refused('nothing is searched here'),
});

/** OpenAI's conversations. */
export const chatCompletions: Route<z.infer<typeof body>> = {
  method: 'POST',
  path: '/v1/chat/completions',
  body,
  errors: openaiErrors,
  async answer({ body: asked, service, signal }) {
    const model = service.named(asked.model ?? undefined);
    const logprobs = asked.logprobs ? (asked.top_logprobs ?? 0) : undefined;
    const {
      tools,
      most,
      options: calls,
    } = toolWish(asked.tools, choiceOf(asked.tool_choice), asked.parallel_tool_calls);
    const options = {
      ...heldTo(formOf(asked, asked.response_format), asked.ignore_eos, 'response_format'),
      ...calls,
      ...generateOptions({ ...asked, max_tokens: asked.max_completion_tokens ?? asked.max_tokens }),
      ...(logprobs !== undefined && { logprobs: Math.max(1, logprobs) }),
    };
    const count = asked.n ?? 1;
    const variables = { ...variablesOf(asked), ...(tools.length > 0 && { tools }) };
    const { answers } = await service.answer(
      { count, signal, tools },
      async () => Array(count).fill(await service.model.prompt(asked.messages, variables)),
      (index) => ofChoice(options, index),
    );
    const form = { model, logprobs, mostCalls: most, includeUsage: asked.stream_options?.include_usage === true };
    return asked.stream ? new Events(chatEvents(answers, form)) : wholeChat(answers, form);
  },
};

function choiceOf(choice: z.infer<typeof body>['tool_choice']) {
  return typeof choice === 'object' && choice !== null ? choice.function : (choice ?? 'auto');
}

/** What a template may know of a request beside its messages. */
function variablesOf({ reasoning_effort, chat_template_kwargs }: z.infer<typeof body>): Record<string, unknown> {
  return { ...effortVariables(reasoning_effort), ...chat_template_kwargs };
}
