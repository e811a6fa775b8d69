import { z } from 'zod';
import { choiceOf, conversationFields, promptOf } from '../anthropic/messages.js';
import { anthropicErrors } from '../errors.js';
import { toolWish } from '../openai/tools.js';
import type { Route } from '../route.js';

const body = z.object(conversationFields);

/** How many tokens a conversation of Anthropic's API has. */
export const countTokens: Route<z.infer<typeof body>> = {
  method: 'POST',
  path: '/v1/messages/count_tokens',
  body,
  errors: anthropicErrors,
  async answer({ body: asked, service }) {
    service.named(asked.model ?? undefined);
    const { tools } = toolWish(asked.tools, choiceOf(asked), true);
    return { input_tokens: (await promptOf(asked, tools, service.model)).length };
  },
};
