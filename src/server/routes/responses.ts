import { z } from 'zod';
import { listOf } from '../body.js';
import { openaiErrors } from '../errors.js';
import { Events } from '../events.js';
import { flatFormat } from '../openai/format.js';
import { effortVariables } from '../openai/reasoning.js';
import { refused } from '../openai/refusals.js';
import { generateOptions, samplingFields } from '../openai/sampling.js';
import { toolOf, toolWish } from '../openai/tools.js';
import { responseEvents, wholeResponse } from '../responses/answer.js';
import { chatMessages, input } from '../responses/input.js';
import type { Route } from '../route.js';

const { n, max_tokens, ignore_eos, ...sampling } = samplingFields;

const NO_LOGPROBS = 'no log-probabilities are given here; ask at /v1/chat/completions';

const tool = z
  .object({
    type: z.literal('function', 'must be function: nothing else is called here'),
    name: z.string().regex(/^[\w.-]{1,128}$/, 'must be a name of letters, digits, "_", "-" and "."'),
    description: z.string().nullish(),
    parameters: z.record(z.string(), z.unknown()).nullish(),
  })
  .transform((given) => toolOf(given.name, given.description, given.parameters));

const body = z.object({
  model: z.string().nullish(),
  input,
  instructions: z.string().nullish(),
  max_output_tokens: z.int().min(1).nullish(),
  ...sampling,
  stream: z.boolean().nullish(),
  text: z.object({ format: flatFormat.nullish() }).nullish(),
  reasoning: z.object({ effort: z.string().nullish() }).nullish(),
  tools: listOf(tool, 512).nullish(),
  tool_choice: z
    .union([z.enum(['none', 'auto', 'required']), z.object({ type: z.literal('function'), name: z.string() })])
    .nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  metadata: z.record(z.string(), z.string()).nullish(),
  top_logprobs: refused(NO_LOGPROBS, (value) => value === 0),
  include: refused(NO_LOGPROBS, (value) => !(Array.isArray(value) && value.includes('message.output_text.logprobs'))),
  previous_response_id: refused('no answer is kept here; send what was said before'),
  conversation: refused('no conversation is kept here; send what was said before'),
  background: refused('an answer is given to who asks for it', (value) => value === false),
  prompt: refused('no prompts are kept here'),
});
type Body = z.infer<typeof body>;

/** OpenAI's newer form of conversations. */
export const responses: Route<Body> = {
  method: 'POST',
  path: '/v1/responses',
  body,
  errors: openaiErrors,
  async answer({ body: asked, service, signal }) {
    const model = service.named(asked.model ?? undefined);
    const wish = toolWish(asked.tools, asked.tool_choice ?? 'auto', asked.parallel_tool_calls);
    const { tools, most } = wish;
    const options = {
      ...generateOptions({ ...asked, max_tokens: asked.max_output_tokens }),
      ...(asked.text?.format && { schema: asked.text.format }),
      ...wish.options,
    };
    const variables = { ...(tools.length > 0 && { tools }), ...effortVariables(asked.reasoning?.effort) };
    const { answers } = await service.answer(
      { count: 1, signal, tools },
      async () => [await service.model.prompt(chatMessages(asked.input, asked.instructions), variables)],
      () => options,
    );
    const form = { model, mostCalls: most, asked: repeated(asked) };
    return asked.stream ? new Events(responseEvents(answers[0]!, form)) : wholeResponse(answers[0]!, form);
  },
};

/** Fields that an answer repeats. */
function repeated(asked: Body): object {
  return {
    instructions: asked.instructions ?? null,
    max_output_tokens: asked.max_output_tokens ?? null,
    metadata: asked.metadata ?? {},
    parallel_tool_calls: asked.parallel_tool_calls ?? true,
    previous_response_id: null,
    temperature: asked.temperature ?? null,
    top_p: asked.top_p ?? null,
    tool_choice: asked.tool_choice ?? 'auto',
    tools: (asked.tools ?? []).map(({ type, function: called }) => ({ type, ...called, strict: null })),
    truncation: 'disabled',
  };
}
