import { z } from 'zod';
import { openaiErrors } from '../errors.js';
import { chatMessages } from '../openai/messages.js';
import type { Route } from '../route.js';

const body = z
  .object({ content: z.string().nullish(), prompt: z.string().nullish(), messages: chatMessages.nullish() })
  .refine(({ content, prompt, messages }) => [content, prompt, messages].filter((one) => one != null).length === 1, {
    message: 'give one of content, prompt and messages',
  });

/** A text, or messages by the chat template, as token ids. */
export const tokenize: Route<z.infer<typeof body>> = {
  method: 'POST',
  path: '/tokenize',
  body,
  errors: openaiErrors,
  async answer({ body: { content, prompt, messages }, service: { model } }) {
    const tokens = messages ? await model.prompt(messages) : await model.encode(content ?? prompt ?? '');
    return { tokens, count: tokens.length, max_model_len: model.info.context };
  },
};
