import { execFileSync } from 'node:child_process';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import Anthropic from '@anthropic-ai/sdk';
import { generateText, tool } from 'ai';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { GPT_OSS, QWEN3 } from '../text/templates.js';
import { byteId, type Spoken, tagId, talkingFolder } from './golden.js';
import { post, type Served, serve } from './process.js';

const City = z.object({ city: z.string().max(8), days: z.union([z.literal(1), z.literal(2), z.literal(3)]) });
const CITY = {
  type: 'object',
  properties: { city: { type: 'string', maxLength: 8 }, days: { enum: [1, 2, 3] } },
  required: ['city', 'days'],
  additionalProperties: false,
};
const weather = { name: 'weather', description: 'The weather.', parameters: CITY };

const qwen: Spoken = {
  special: ['<|im_start|>', '<|im_end|>'],
  shown: ['<think>', '</think>', '<tool_call>', '</tool_call>', '<tool_response>', '</tool_response>'],
  end: '<|im_end|>',
  // As Qwen3-30B-A3B-Thinking-2507 begins its answers, unless it shall not think.
  template: `${QWEN3}{%- if add_generation_prompt and enable_thinking is not defined %}{{- '<think>\\n' }}{%- endif %}`,
};
const oss: Spoken = {
  special: ['start', 'channel', 'message', 'end', 'return', 'call', 'constrain'].map((name) => `<|${name}|>`),
  shown: [],
  end: '<|return|>',
  template: GPT_OSS,
};

const FAMILIES = [
  { golden: 'qwen3_moe', spoken: qwen, bias: { [tagId(qwen, '</think>')]: 4 } },
  { golden: 'gpt_oss', spoken: oss, bias: { [byteId('a')]: 4, [tagId(oss, '<|end|>')]: 4 } },
];

describe.each(FAMILIES)('clients of $golden, which thinks and calls tools', ({ golden, spoken, bias }) => {
  const { dir, remove } = talkingFolder(golden, spoken);
  let served: Served;
  let openai: OpenAI;
  let anthropic: Anthropic;
  beforeAll(async () => {
    served = await serve(dir, '--dtype', 'f32', '--ctx', '6144', '--parallel', '4', '--alias', golden);
    openai = new OpenAI({ baseURL: served.base, apiKey: 'none', maxRetries: 0 });
    anthropic = new Anthropic({ baseURL: served.url, apiKey: 'none', maxRetries: 0 });
  });
  afterAll(async () => {
    await served.stop();
    remove();
  });

  const messages = [{ role: 'user' as const, content: 'How is the weather?' }];
  const ask = {
    ...{ model: golden, messages, max_tokens: 600, temperature: 1, seed: 1, logit_bias: bias },
    ...{ tools: [{ type: 'function' as const, function: weather }], tool_choice: 'required' as const },
  };

  it("have thoughts and calls apart: OpenAI's chats, streamed and not", async () => {
    const { choices } = await openai.chat.completions.create({ ...ask, n: 4, parallel_tool_calls: false });
    const thoughts = choices.map(({ message }) => (message as { reasoning_content?: string }).reasoning_content);
    expect(thoughts.filter(Boolean).length).toBeGreaterThan(0);
    for (const { message, finish_reason } of choices) {
      expect(finish_reason).toBe('tool_calls');
      const [call] = message.tool_calls!;
      if (call?.type !== 'function') throw new Error('no call');
      expect(call.function.name).toBe('weather');
      City.parse(JSON.parse(call.function.arguments));
    }
    const one = { ...ask, parallel_tool_calls: false };
    const streamed = await openai.chat.completions.stream(one).finalChatCompletion();
    expect(streamed.choices[0]!.message.tool_calls).toMatchObject([
      { function: (choices[0]!.message.tool_calls![0] as { function: object }).function },
    ]);
  });

  it("have them apart: OpenAI's responses", async () => {
    const response = await openai.responses.create({
      ...{ model: golden, input: 'How is the weather?', max_output_tokens: 600 },
      ...{ tools: [{ type: 'function', strict: null, ...weather }], tool_choice: 'required' },
      ...({ seed: 1, logit_bias: bias, parallel_tool_calls: false } as object),
    });
    expect(response.status).toBe('completed');
    const call = response.output.at(-1)!;
    if (call.type !== 'function_call') throw new Error(call.type);
    City.parse(JSON.parse(call.arguments));
  });

  it("say in Anthropic's messages what OpenAI's say", async () => {
    const { choices, usage } = await openai.chat.completions.create({
      ...{ model: golden, messages, max_tokens: 24, temperature: 0 },
    });
    const asked = { model: golden, messages, max_tokens: 24, temperature: 0 };
    const message = await anthropic.messages.stream(asked).finalMessage();
    const thoughts = message.content.map((block) => (block.type === 'thinking' ? block.thinking : ''));
    const texts = message.content.map((block) => (block.type === 'text' ? block.text : ''));
    const { content, reasoning_content = '' } = choices[0]!.message as { content: string; reasoning_content?: string };
    expect([thoughts.join(''), texts.join('')]).toEqual([reasoning_content, content]);
    expect(message.usage.output_tokens).toBe(usage!.completion_tokens);
    expect((await anthropic.messages.countTokens({ model: golden, messages })).input_tokens).toBe(usage!.prompt_tokens);
  });

  it('have an answer go on that they began, in messages of Anthropic alone', async () => {
    const begun = [...messages, { role: 'assistant' as const, content: 'Sunny with' }];
    const prompt = async (path: string) => {
      const { tokens } = (await (await post(`${served.url}${path}`, { messages: begun })).json()) as {
        tokens: number[];
      };
      return tokens;
    };
    const { input_tokens: count } = await anthropic.messages.countTokens({ model: golden, messages: begun });
    const asked = { model: golden, messages: begun, max_tokens: 12, temperature: 0 };
    const { content, usage } = await anthropic.messages.create(asked);
    expect(usage.input_tokens + usage.cache_read_input_tokens!).toBe(count);
    // What is behind that text, the end of the turn, is no part of the prompt.
    const tokens = await prompt('/tokenize');
    const ends = [...'with'].map(byteId);
    const end = tokens.findLastIndex((_, at) => ends.every((id, i) => tokens[at + i] === id)) + ends.length;
    const { choices } = await openai.completions.create({
      ...{ model: golden, prompt: tokens.slice(0, end), max_tokens: 12, temperature: 0 },
    });
    expect(content.map((block) => (block.type === 'text' ? block.text : '')).join('')).toBe(choices[0]!.text);
    expect(count).toBe(end);
  });

  it('go on behind an answer of a tool, of which only what is new is computed', async () => {
    const first = await openai.chat.completions.create({ ...ask, parallel_tool_calls: false });
    const { role, content, tool_calls } = first.choices[0]!.message;
    const { tool_choice, ...free } = ask;
    const next = await openai.chat.completions.create({
      ...{ ...free, max_tokens: 4 },
      messages: [
        ...messages,
        { role, content, tool_calls },
        { role: 'tool' as const, tool_call_id: tool_calls![0]!.id, content: 'Sun' },
      ],
    });
    expect(next.usage!.prompt_tokens).toBeGreaterThan(first.usage!.prompt_tokens);
    expect(next.usage!.prompt_tokens_details!.cached_tokens).toBeGreaterThan(first.usage!.prompt_tokens / 2);
  });

  it('call tools through the AI SDK, and through curl', async () => {
    const provider = createOpenAICompatible({ name: 'fiddler', baseURL: served.base });
    const { toolCalls } = await generateText({
      ...{ model: provider(golden), prompt: 'How is the weather?', seed: 1, temperature: 1, maxOutputTokens: 600 },
      ...{ tools: { weather: tool({ inputSchema: City }) }, toolChoice: 'required' },
      providerOptions: { fiddler: { logit_bias: bias } },
    });
    expect(toolCalls.length).toBeGreaterThan(0);
    for (const { input } of toolCalls) City.parse(input);
    const curl = execFileSync('curl', [
      ...['-s', `${served.base}/chat/completions`, '-H', 'content-type: application/json'],
      ...['-d', JSON.stringify({ ...ask, parallel_tool_calls: false })],
    ]);
    const { choices } = JSON.parse(curl.toString()) as OpenAI.ChatCompletion;
    expect(choices[0]!.message.tool_calls).toHaveLength(1);
  });
});
