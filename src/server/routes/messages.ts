import { z } from 'zod';
import { messageEvents, wholeMessage } from '../anthropic/answer.js';
import { choiceOf, conversationFields, promptOf } from '../anthropic/messages.js';
import { anthropicErrors } from '../errors.js';
import { Events } from '../events.js';
import { flatFormat } from '../openai/format.js';
import { refused } from '../openai/refusals.js';
import { generateOptions, samplingFields } from '../openai/sampling.js';
import { toolWish } from '../openai/tools.js';
import type { Route } from '../route.js';

const { max_tokens, temperature, top_p, top_k, stop } = samplingFields;

const body = z.object({
  ...conversationFields,
  max_tokens,
  temperature,
  top_p,
  top_k,
  stop_sequences: stop,
  output_config: z.object({ format: flatFormat.nullish() }).nullish(),
  stream: z.boolean().nullish(),
  mcp_servers: refused('no tool is run here', (value) => Array.isArray(value) && value.length === 0),
});

/** Anthropic's conversations. */
export const messages: Route<z.infer<typeof body>> = {
  method: 'POST',
  path: '/v1/messages',
  body,
  errors: anthropicErrors,
  async answer({ body: asked, service, signal }) {
    const model = service.named(asked.model ?? undefined);
    const parallel = !asked.tool_choice?.disable_parallel_tool_use;
    const { tools, most, options: calls } = toolWish(asked.tools, choiceOf(asked), parallel);
    const options = {
      ...generateOptions({ ...asked, stop: asked.stop_sequences }),
      ...(asked.output_config?.format && { schema: asked.output_config.format }),
      ...calls,
    };
    const { answers, prompts } = await service.answer(
      { count: 1, signal, tools },
      async () => [await promptOf(asked, tools, service.model)],
      () => options,
    );
    const form = { model, mostCalls: most, promptTokens: prompts[0]!.length };
    return asked.stream ? new Events(messageEvents(answers[0]!, form)) : wholeMessage(answers[0]!, form);
  },
};
