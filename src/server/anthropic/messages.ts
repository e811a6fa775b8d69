import { z } from 'zod';
import type { ChatMessage, Model, Tool } from '../../index.js';
import { listOf } from '../body.js';
import { toolOf } from '../openai/tools.js';

const MOST_BLOCKS = 4096;

const text = z.object({ type: z.literal('text', 'only text can be read by this model'), text: z.string() });
const texts = z
  .union([z.string(), listOf(text, MOST_BLOCKS)])
  .transform((value) => (typeof value === 'string' ? value : value.map((block) => block.text).join('')));

const block = z.discriminatedUnion(
  'type',
  [
    text,
    z.object({ type: z.literal('thinking'), thinking: z.string() }),
    z.object({ type: z.literal('redacted_thinking') }),
    z.object({
      type: z.literal('tool_use'),
      id: z.string(),
      name: z.string(),
      input: z.record(z.string(), z.unknown()),
    }),
    z.object({ type: z.literal('tool_result'), tool_use_id: z.string(), content: texts.nullish() }),
  ],
  { error: 'must be a block of the type text, thinking, tool_use or tool_result: nothing else can be read here' },
);
type Block = z.infer<typeof block>;

const message = z.object({
  role: z.enum(['user', 'assistant', 'system'], 'must be user or assistant'),
  content: z.union([
    z.string().transform((value): Block[] => [{ type: 'text', text: value }]),
    listOf(block, MOST_BLOCKS),
  ]),
});

const tool = z
  .object({
    type: z.literal('custom', 'must be custom: no tool is run here').nullish(),
    name: z.string().regex(/^[\w.-]{1,128}$/, 'must be a name of letters, digits, "_", "-" and "."'),
    description: z.string().nullish(),
    input_schema: z.record(z.string(), z.unknown()),
  })
  .transform((given) => toolOf(given.name, given.description, given.input_schema));

/** What is answered: fields of /v1/messages and of /v1/messages/count_tokens. */
export const conversationFields = {
  model: z.string().nullish(),
  system: texts.nullish(),
  messages: listOf(message, MOST_BLOCKS, 1),
  tools: listOf(tool, 512).nullish(),
  tool_choice: z
    .object({
      type: z.enum(['auto', 'any', 'tool', 'none']),
      name: z.string().nullish(),
      disable_parallel_tool_use: z.boolean().nullish(),
    })
    .nullish(),
  thinking: z.object({ type: z.enum(['enabled', 'disabled', 'adaptive']) }).nullish(),
};
type Conversation = z.infer<z.ZodObject<typeof conversationFields>>;

/** The messages as the library has them. */
function chatMessages({ system, messages }: Conversation): ChatMessage[] {
  const names = new Map<string, string>();
  const said = messages.flatMap(({ role, content }) => {
    for (const part of content) if (part.type === 'tool_use') names.set(part.id, part.name);
    return role === 'assistant' ? [assistantMessage(content)] : userMessages(role, content, names);
  });
  return system ? [{ role: 'system', content: system }, ...said] : said;
}

function assistantMessage(blocks: readonly Block[]): ChatMessage {
  const reasoning = blocks.map((part) => (part.type === 'thinking' ? part.thinking : '')).join('');
  const calls = blocks.flatMap((part) =>
    part.type === 'tool_use' ? [{ id: part.id, name: part.name, arguments: part.input }] : [],
  );
  return {
    role: 'assistant',
    content: textOf(blocks),
    ...(reasoning !== '' && { reasoning }),
    ...(calls.length > 0 && { calls }),
  };
}

/** Results of tools are messages of their own, before what the user says. */
function userMessages(role: string, blocks: readonly Block[], names: ReadonlyMap<string, string>): ChatMessage[] {
  const results = blocks.flatMap((part): ChatMessage[] => {
    if (part.type !== 'tool_result') return [];
    const name = names.get(part.tool_use_id);
    const answers = { id: part.tool_use_id, ...(name !== undefined && { name }) };
    return [{ role: 'tool', content: part.content ?? '', answers }];
  });
  const said = textOf(blocks);
  return said === '' && results.length > 0 ? results : [...results, { role, content: said }];
}

function textOf(blocks: readonly Block[]): string {
  return blocks.map((part) => (part.type === 'text' ? part.text : '')).join('');
}

/** The prompt, which also `tools` are a part of. Where the last message is the assistant's, the answer goes on with it. */
export function promptOf(asked: Conversation, tools: readonly Tool[], model: Model): Promise<number[]> {
  const said = chatMessages(asked);
  const { role, content, calls } = said.at(-1)!;
  const continues = role === 'assistant' && content !== '' && !calls;
  return model.prompt(said, { ...variablesOf(asked, continues), ...(tools.length > 0 && { tools }) }, { continues });
}

/** What a template may know beside the messages. An answer that has begun was thought about. */
function variablesOf({ thinking }: Conversation, continues: boolean): Record<string, unknown> {
  if (continues) return { enable_thinking: false };
  return thinking ? { enable_thinking: thinking.type !== 'disabled' } : {};
}

export function choiceOf({ tool_choice: choice }: Conversation) {
  if (choice?.type === 'tool') return { name: choice.name ?? '' };
  return choice?.type === 'any' ? 'required' : (choice?.type ?? 'auto');
}
