import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import Anthropic from '@anthropic-ai/sdk';
import { generateObject } from 'ai';
import OpenAI from 'openai';
import { zodResponseFormat, zodTextFormat } from 'openai/helpers/zod';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type Served, serve } from './process.js';

let served: Served;
let openai: OpenAI;
beforeAll(async () => {
  served = await serve();
  openai = new OpenAI({ baseURL: served.base, apiKey: 'none', maxRetries: 0 });
});
afterAll(() => served.stop());

const Person = z.object({
  name: z.string().max(12),
  age: z.int().min(0).max(120),
  kind: z.enum(['cat', 'dog']),
  tags: z.array(z.string().max(5)).max(2),
  home: z.object({ street: z.string().max(10) }).nullable(),
});
const ask = {
  model: 'mini-mixtral',
  messages: [{ role: 'user' as const, content: 'A person:' }],
  temperature: 1,
  max_tokens: 400,
};

describe('an answer that is held to a schema', () => {
  it("fits it: OpenAI's chats, by their own helper", async () => {
    for (let seed = 0; seed < 4; seed++) {
      const { choices } = await openai.chat.completions.parse({
        ...{ ...ask, seed, response_format: zodResponseFormat(Person, 'person') },
      });
      expect(choices[0]!.finish_reason).toBe('stop');
      expect(Person.parse(choices[0]!.message.parsed)).toEqual(JSON.parse(choices[0]!.message.content!));
    }
  });

  it('fits it: several at once, streamed', async () => {
    const { choices } = await openai.chat.completions
      .stream({ ...ask, n: 3, seed: 1, response_format: zodResponseFormat(Person, 'person') })
      .finalChatCompletion();
    for (const { message } of choices) Person.parse(JSON.parse(message.content!));
    expect(new Set(choices.map(({ message }) => message.content)).size).toBe(3);
  });

  it('fits it: responses, messages, and the AI SDK', async () => {
    const { messages, max_tokens, ...rest } = ask;
    const response = await openai.responses.parse({
      ...rest,
      max_output_tokens: 400,
      input: 'A person:',
      text: { format: zodTextFormat(Person, 'person') },
    });
    Person.parse(response.output_parsed);
    const anthropic = new Anthropic({ baseURL: served.url, apiKey: 'none' });
    const { $schema, ...schema } = z.toJSONSchema(Person) as Record<string, unknown>;
    const message = await anthropic.messages.create({
      ...rest,
      messages,
      max_tokens,
      output_config: { format: { type: 'json_schema', schema } },
    });
    Person.parse(JSON.parse((message.content[0] as { text: string }).text));
    const provider = createOpenAICompatible({ name: 'f', baseURL: served.base, supportsStructuredOutputs: true });
    const { object } = await generateObject({ model: provider('mini-mixtral'), schema: Person, prompt: 'A person:' });
    Person.parse(object);
  });

  it('is a JSON object of any form', async () => {
    const { choices } = await openai.chat.completions.create({
      ...ask,
      temperature: 0,
      response_format: { type: 'json_object' },
      max_tokens: 60,
    });
    const [{ message, finish_reason }] = choices as [(typeof choices)[0]];
    expect(message.content).toMatch(/^\{/);
    if (finish_reason === 'stop') expect(typeof JSON.parse(message.content!)).toBe('object');
    else expect(finish_reason).toBe('length');
  });

  it('says that it was cut off', async () => {
    const format = { ...ask, max_tokens: 3, response_format: zodResponseFormat(Person, 'person') };
    const { choices } = await openai.chat.completions.create(format);
    expect(choices[0]!.finish_reason).toBe('length');
  });
});
