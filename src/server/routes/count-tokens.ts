import { z } from 'zod';
import { chatMessages, choiceOf, conversationFields, variablesOf } from '../anthropic/messages.js';
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
    const variables = { ...variablesOf(asked), ...(tools.length > 0 && { tools }) };
    return { input_tokens: (await service.model.prompt(chatMessages(asked), variables)).length };
  },
};
