import { z } from 'zod';
import type { ChatMessage } from '../../index.js';
import { listOf } from '../body.js';
import { callArguments, content } from '../openai/messages.js';

const MOST_ITEMS = 4096;

const reasoningText = z.object({ text: z.string() });
const said = z.object({
  type: z.literal('message').nullish(),
  role: z.enum(['system', 'developer', 'user', 'assistant']),
  content,
});
const call = z.object({
  type: z.literal('function_call'),
  call_id: z.string(),
  name: z.string(),
  arguments: callArguments,
});
const output = z.object({ type: z.literal('function_call_output'), call_id: z.string(), output: content });
const reasoning = z.object({
  type: z.literal('reasoning'),
  content: listOf(reasoningText, MOST_ITEMS).nullish(),
  summary: listOf(reasoningText, MOST_ITEMS).nullish(),
});

/** What is said before an answer of /v1/responses. */
export const input = z.union([
  z.string().transform((text) => [{ role: 'user' as const, content: text }]),
  listOf(z.union([said, call, output, reasoning]), MOST_ITEMS, 1),
]);

/** The messages as the library has them: what an assistant thought, said and called in one turn is one of them. */
export function chatMessages(items: z.infer<typeof input>, instructions: string | null | undefined): ChatMessage[] {
  const messages: ChatMessage[] = instructions ? [{ role: 'system', content: instructions }] : [];
  const names = new Map<string, string>();
  const assistant = (): ChatMessage => {
    if (messages.at(-1)?.role !== 'assistant') messages.push({ role: 'assistant', content: '' });
    return messages.at(-1)!;
  };
  for (const item of items) {
    if ('role' in item) {
      if (item.role === 'assistant') assistant().content += item.content;
      else messages.push({ role: item.role === 'developer' ? 'system' : item.role, content: item.content });
    } else if (item.type === 'function_call') {
      const { call_id: id, name } = item;
      names.set(id, name);
      const last = assistant();
      last.calls = [...(last.calls ?? []), { id, name, arguments: item.arguments }];
    } else if (item.type === 'function_call_output') {
      const name = names.get(item.call_id);
      const answers = { id: item.call_id, ...(name !== undefined && { name }) };
      messages.push({ role: 'tool', content: item.output, answers });
    } else {
      const text = (item.content?.length ? item.content : (item.summary ?? [])).map((part) => part.text).join('');
      if (text !== '') messages.push({ role: 'assistant', content: '', reasoning: text });
    }
  }
  return messages;
}
