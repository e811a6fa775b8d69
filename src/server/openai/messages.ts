import { z } from 'zod';
import type { ChatMessage, ToolCall } from '../../index.js';
import { listOf } from '../body.js';

/** Messages of a conversation: an agent's long run has some hundreds. */
const MOST_MESSAGES = 4096;
const MOST_PARTS = 1024;

const textPart = z.object({
  type: z.enum(['text', 'input_text', 'output_text'], 'only text can be read by this model'),
  text: z.string(),
});

/** A text, or the same in parts. */
export const content = z
  .union([z.string(), listOf(textPart, MOST_PARTS)])
  .transform((value) => (typeof value === 'string' ? value : value.map(({ text }) => text).join('')));

/** The arguments of a call, which the API has as the text of a JSON object; those of a call that was cut off are none. */
export const callArguments = z.string().transform((text): Record<string, unknown> => {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // a history may hold what a model wrote wrong, and is answered all the same
  }
  return {};
});

const call = z
  .object({
    id: z.string().nullish(),
    type: z.literal('function', 'must be function').nullish(),
    function: z.object({ name: z.string(), arguments: callArguments }),
  })
  .transform(({ id, function: called }): ToolCall => ({ ...(id && { id }), ...called }));

const spoken = z.object({ role: z.enum(['system', 'developer', 'user']), content });

const answered = z.object({
  role: z.literal('assistant'),
  content: content.nullish(),
  reasoning_content: z.string().nullish(),
  tool_calls: listOf(call, MOST_PARTS).nullish(),
});

const toolAnswer = z.object({ role: z.literal('tool'), content, tool_call_id: z.string().nullish() });

/** The messages of a request to /v1/chat/completions, as the library has them. */
export const chatMessages = listOf(
  z.discriminatedUnion('role', [spoken, answered, toolAnswer], {
    error: 'must be a message of the role system, developer, user, assistant or tool',
  }),
  MOST_MESSAGES,
  1,
).transform((messages) => {
  const names = new Map<string, string>();
  return messages.map((message): ChatMessage => {
    if (message.role === 'assistant') {
      for (const { id, name } of message.tool_calls ?? []) if (id !== undefined) names.set(id, name);
      return {
        role: 'assistant',
        content: message.content ?? '',
        ...(message.reasoning_content && { reasoning: message.reasoning_content }),
        ...(message.tool_calls?.length && { calls: message.tool_calls }),
      };
    }
    if (message.role === 'tool') {
      const id = message.tool_call_id ?? undefined;
      const name = id === undefined ? undefined : names.get(id);
      return { role: 'tool', content: message.content, answers: { ...(id && { id }), ...(name && { name }) } };
    }
    // The newer name of the same; templates know the older.
    return { role: message.role === 'developer' ? 'system' : message.role, content: message.content };
  });
});
