import { z } from 'zod';
import { openaiErrors } from '../errors.js';
import type { Route } from '../route.js';

const isIds = (value: unknown) => Array.isArray(value) && value.every((id) => Number.isSafeInteger(id) && id >= 0);
const body = z.object({ tokens: z.custom<number[]>(isIds, 'must be a list of token ids') });

/** The text of token ids. */
export const detokenize: Route<z.infer<typeof body>> = {
  method: 'POST',
  path: '/detokenize',
  body,
  errors: openaiErrors,
  async answer({ body: { tokens }, service: { model } }) {
    const text = await model.decode(tokens);
    return { content: text, prompt: text };
  },
};
