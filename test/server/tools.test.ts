import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import Anthropic from '@anthropic-ai/sdk';
import { generateText, stepCountIs, streamText, tool } from 'ai';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { Server } from '../../src/server/server.js';
import { type Asked, scripted } from './scripted.js';

const CITY = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
const weather = { name: 'get_weather', description: 'The weather.', parameters: CITY };
const TOOL = { type: 'function' as const, function: weather };
const call = (city: string) => `<tool_call>\n{"name": "get_weather", "arguments": {"city": "${city}"}}\n</tool_call>`;
const THOUGHT = '<think>\nThey ask for the weather.\n</think>\n\n';
const TWO = `${THOUGHT}I will look.\n${call('Köln')}\n${call('Ōsaka')}`;
const user = (content: string) => ({ role: 'user' as const, content });

let server: Server;
let asked: Asked;
let openai: OpenAI;
let anthropic: Anthropic;
beforeAll(async () => {
  ({ server, asked } = await scripted('hermes'));
  openai = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0 });
  anthropic = new Anthropic({ baseURL: server.url, apiKey: 'none', maxRetries: 0 });
});
afterAll(() => server.close());

describe("OpenAI's chats", () => {
  const ask = { model: 'scripted', messages: [user(TWO)], tools: [TOOL] };

  it('have thoughts, text and calls apart', async () => {
    const { choices } = await openai.chat.completions.create(ask);
    const { message, finish_reason } = choices[0]!;
    expect(finish_reason).toBe('tool_calls');
    expect(message.content).toBe('I will look.\n');
    expect((message as { reasoning_content?: string }).reasoning_content?.trim()).toBe('They ask for the weather.');
    const calls = message.tool_calls!.map((one) => (one.type === 'function' ? one.function : undefined)!);
    expect(calls.map(({ name, arguments: text }) => [name, JSON.parse(text).city])).toEqual([
      ['get_weather', 'Köln'],
      ['get_weather', 'Ōsaka'],
    ]);
    expect(new Set(message.tool_calls!.map(({ id }) => id)).size).toBe(2);
    expect(asked.variables.tools).toEqual([TOOL]);
  });

  it('stream them', async () => {
    const stream = openai.chat.completions.stream(ask);
    let pieces = 0;
    stream.on('tool_calls.function.arguments.delta', () => pieces++);
    const { choices } = await stream.finalChatCompletion();
    expect(
      choices[0]!.message.tool_calls!.map((one) => one.type === 'function' && JSON.parse(one.function.arguments)),
    ).toEqual([{ city: 'Köln' }, { city: 'Ōsaka' }]);
    expect(choices[0]!.finish_reason).toBe('tool_calls');
    expect(pieces).toBeGreaterThan(4);
  });

  it('leave calls in the text where there are no tools, or none are wanted', async () => {
    for (const less of [{ tools: undefined }, { tool_choice: 'none' as const }]) {
      const { choices } = await openai.chat.completions.create({ ...ask, ...less });
      expect(choices[0]!.message.content).toContain('<tool_call>');
      expect(choices[0]!.message.tool_calls).toBeUndefined();
      expect(choices[0]!.finish_reason).toBe('stop');
      expect(asked.variables.tools).toBeUndefined();
    }
  });

  it('have one call where more are not wanted', async () => {
    const { choices } = await openai.chat.completions.create({ ...ask, parallel_tool_calls: false });
    expect(choices[0]!.message.tool_calls).toHaveLength(1);
  });

  it('pass what was called and answered on to the template', async () => {
    const called = {
      id: 'c1',
      type: 'function' as const,
      function: { name: 'get_weather', arguments: '{"city":"Rome"}' },
    };
    const messages = [
      { role: 'developer' as const, content: 'Be brief.' },
      user('The weather?'),
      { role: 'assistant' as const, content: null, tool_calls: [called] },
      { role: 'tool' as const, tool_call_id: 'c1', content: [{ type: 'text' as const, text: 'Sun' }] },
    ];
    const { choices } = await openai.chat.completions.create({ ...ask, messages });
    expect(choices[0]!.message.content).toBe('The weather?');
    expect(asked.messages).toEqual([
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'The weather?' },
      { role: 'assistant', content: '', calls: [{ id: 'c1', name: 'get_weather', arguments: { city: 'Rome' } }] },
      { role: 'tool', content: 'Sun', answers: { id: 'c1', name: 'get_weather' } },
    ]);
  });

  it('pass on how much to think', async () => {
    await openai.chat.completions.create({ ...ask, reasoning_effort: 'high' });
    expect(asked.variables.reasoning_effort).toBe('high');
    const kwargs = { chat_template_kwargs: { enable_thinking: false } };
    await openai.chat.completions.create({ ...ask, ...kwargs } as typeof ask);
    expect(asked.variables.enable_thinking).toBe(false);
  });
});

describe("OpenAI's responses", () => {
  const ask = {
    model: 'scripted',
    instructions: 'Be brief.',
    input: TWO,
    tools: [{ type: 'function' as const, strict: null, ...weather }],
  };

  it('have thoughts, text and calls as items, streamed and not', async () => {
    const whole = await openai.responses.create(ask);
    const streamed = await openai.responses.stream(ask).finalResponse();
    for (const { output, output_text, status, usage } of [whole, streamed]) {
      expect(status).toBe('completed');
      expect(output.map(({ type }) => type)).toEqual(['reasoning', 'message', 'function_call', 'function_call']);
      expect(output_text).toBe('I will look.\n');
      const calls = output.map((item) => item.type === 'function_call' && JSON.parse(item.arguments)).filter(Boolean);
      expect(calls).toEqual([{ city: 'Köln' }, { city: 'Ōsaka' }]);
      expect(usage!.input_tokens_details.cached_tokens).toBe(3);
      expect(usage!.output_tokens_details.reasoning_tokens).toBeGreaterThan(0);
    }
    expect(asked.messages[0]).toEqual({ role: 'system', content: 'Be brief.' });
  });

  it('take back what they gave', async () => {
    const { output } = await openai.responses.create(ask);
    const [first, second] = output.filter((item) => item.type === 'function_call');
    const answer = (call_id: string) => ({ type: 'function_call_output' as const, call_id, output: 'Sun' });
    const input = [user('Hello'), ...output, answer(first!.call_id), answer(second!.call_id)];
    await openai.responses.create({ ...ask, input: input as OpenAI.Responses.ResponseInput });
    const [, , assistant, tool1, tool2] = asked.messages;
    expect(assistant!.content).toBe('I will look.\n');
    expect(assistant!.reasoning?.trim()).toBe('They ask for the weather.');
    expect(assistant!.calls!.map(({ arguments: of }) => of)).toEqual([{ city: 'Köln' }, { city: 'Ōsaka' }]);
    expect([tool1, tool2]).toMatchObject([{ answers: { id: first!.call_id } }, { answers: { id: second!.call_id } }]);
  });

  it('say that they are incomplete', async () => {
    const { status, incomplete_details } = await openai.responses.create({ ...ask, max_output_tokens: 4 });
    expect([status, incomplete_details]).toEqual(['incomplete', { reason: 'max_output_tokens' }]);
  });
});

describe("Anthropic's messages", () => {
  const ask = {
    model: 'scripted',
    max_tokens: 1000,
    system: 'Be brief.',
    messages: [user(TWO)],
    tools: [{ name: weather.name, description: weather.description, input_schema: CITY as Anthropic.Tool.InputSchema }],
  };

  it('have thoughts, text and calls as blocks, streamed and not', async () => {
    const whole = await anthropic.messages.create(ask);
    const streamed = await anthropic.messages.stream(ask).finalMessage();
    for (const { content, stop_reason, usage } of [whole, streamed]) {
      expect(stop_reason).toBe('tool_use');
      expect(content.map(({ type }) => type)).toEqual(['thinking', 'text', 'tool_use', 'tool_use']);
      expect(content.map((block) => block.type === 'tool_use' && block.input)).toEqual([
        ...[false, false, { city: 'Köln' }, { city: 'Ōsaka' }],
      ]);
      expect(content[1]).toMatchObject({ text: 'I will look.\n' });
      expect(usage.cache_read_input_tokens).toBe(3);
      expect(usage.input_tokens).toBeGreaterThan(0);
    }
    expect(asked.variables.tools).toEqual([TOOL]);
  });

  it('take back what they gave, and results', async () => {
    const { content } = await anthropic.messages.create(ask);
    const [first, second] = content.filter((block) => block.type === 'tool_use');
    const results = [
      { type: 'tool_result' as const, tool_use_id: first!.id, content: 'Sun' },
      { type: 'tool_result' as const, tool_use_id: second!.id, content: [{ type: 'text' as const, text: 'Rain' }] },
      { type: 'text' as const, text: 'And now?' },
    ];
    await anthropic.messages.create({
      ...ask,
      messages: [user('The weather?'), { role: 'assistant', content }, { role: 'user', content: results }],
      thinking: { type: 'disabled' },
    });
    expect(asked.messages.slice(2)).toMatchObject([
      { role: 'assistant', content: 'I will look.\n', calls: [{ name: 'get_weather' }, { name: 'get_weather' }] },
      { role: 'tool', content: 'Sun', answers: { id: first!.id, name: 'get_weather' } },
      { role: 'tool', content: 'Rain', answers: { id: second!.id } },
      { role: 'user', content: 'And now?' },
    ]);
    expect(asked.variables.enable_thinking).toBe(false);
  });

  it('say why they end', async () => {
    const stop = { stop_sequences: ['nowhere', 'look', 'lo ok'], tools: [] };
    expect(await anthropic.messages.create({ ...ask, ...stop })).toMatchObject({
      stop_reason: 'stop_sequence',
      stop_sequence: 'look',
    });
    expect(await anthropic.messages.create({ ...ask, max_tokens: 3 })).toMatchObject({ stop_reason: 'max_tokens' });
    expect(await anthropic.messages.create({ ...ask, messages: [user('Hi')] })).toMatchObject({
      stop_reason: 'end_turn',
    });
  });

  it('are counted, and refused in their own shape', async () => {
    const { max_tokens, ...counted } = ask;
    expect((await anthropic.messages.countTokens(counted)).input_tokens).toBeGreaterThan(10);
    await anthropic.messages.create({ ...ask, tool_choice: { type: 'any', disable_parallel_tool_use: true } });
    expect(asked.options).toMatchObject({ call: true, oneCall: true });
    await anthropic.messages.create({ ...ask, tool_choice: { type: 'tool', name: weather.name } });
    expect(asked.options.call).toBe(weather.name);
    const forced = anthropic.messages.create({ ...ask, tool_choice: { type: 'tool', name: 'other' } });
    await expect(forced).rejects.toBeInstanceOf(Anthropic.BadRequestError);
    await expect(anthropic.messages.create({ ...ask, model: 'claude' })).rejects.toMatchObject({
      error: { type: 'error', error: { type: 'not_found_error' } },
    });
  });
});

describe('an agent', () => {
  it("is answered with all that it sends beside Anthropic's messages", async () => {
    const cached = { cache_control: { type: 'ephemeral' } };
    const response = await fetch(`${server.url}/v1/messages?beta=true`, {
      method: 'POST',
      headers: {
        ...{ 'content-type': 'application/json', authorization: 'Bearer none' },
        ...{ 'anthropic-version': '2023-06-01', 'anthropic-beta': 'interleaved-thinking-2025-05-14' },
      },
      body: JSON.stringify({
        ...{ model: 'scripted', max_tokens: 32_000, stream: true, temperature: 1, metadata: { user_id: 'me' } },
        system: [
          { type: 'text', text: 'You are an agent.', ...cached },
          { type: 'text', text: 'Be brief.' },
        ],
        messages: [{ role: 'user', content: [{ type: 'text', text: TWO, ...cached }] }],
        tools: [{ name: weather.name, description: weather.description, input_schema: CITY, ...cached }],
        thinking: { type: 'enabled', budget_tokens: 31_999 },
        output_config: { effort: 'high' },
        context_management: { edits: [] },
      }),
    });
    expect(response.status).toBe(200);
    const events = await response.text();
    expect(events).toContain('"stop_reason":"tool_use"');
    expect(events).toMatch(/event: message_stop\n.*\n\n$/);
  });
});

describe('the AI SDK', () => {
  const provider = () => createOpenAICompatible({ name: 'fiddler', baseURL: `${server.url}/v1`, includeUsage: true });
  const tools = {
    get_weather: tool({ inputSchema: z.object({ city: z.string() }), execute: async ({ city }) => `Sun in ${city}` }),
  };

  it('generates and calls', async () => {
    const { text, reasoningText, steps } = await generateText({
      ...{ model: provider()('scripted'), prompt: TWO, tools, stopWhen: stepCountIs(2) },
    });
    expect(text).toBe('I will look.\n');
    expect(reasoningText?.trim()).toBe('They ask for the weather.');
    expect(steps[0]!.toolResults.map(({ output }) => output)).toEqual(['Sun in Köln', 'Sun in Ōsaka']);
    expect(asked.messages.filter(({ role }) => role === 'tool')).toHaveLength(2);
  });

  it('streams', async () => {
    const result = streamText({ model: provider()('scripted'), prompt: TWO, tools });
    let text = '';
    for await (const piece of result.textStream) text += piece;
    expect(text).toBe('I will look.\n');
    expect((await result.toolCalls).map(({ input }) => input)).toEqual([{ city: 'Köln' }, { city: 'Ōsaka' }]);
    expect((await result.usage).outputTokens).toBeGreaterThan(10);
  });
});

describe('harmony', () => {
  it('has its calls taken from the channel of commentary', async () => {
    const { server: other } = await scripted('harmony');
    try {
      const client = new OpenAI({ baseURL: `${other.url}/v1`, apiKey: 'none' });
      const script =
        '<|channel|>analysis<|message|>I think.<|end|><|start|>assistant<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{"city": "Rome"}<|call|>' +
        '<|start|>assistant to=functions.get_weather<|channel|>commentary json<|message|>{"city": "Oslo"}<|call|>' +
        '<|start|>assistant<|channel|>final<|message|>Done.';
      const { choices } = await client.chat.completions.create({
        model: 'scripted',
        messages: [user(script)],
        tools: [TOOL],
      });
      expect(choices[0]!.message).toMatchObject({ content: 'Done.', reasoning_content: 'I think.' });
      const calls = choices[0]!.message.tool_calls!.map((one) => one.type === 'function' && one.function);
      expect(calls).toEqual([
        { name: 'get_weather', arguments: '{"city": "Rome"}' },
        { name: 'get_weather', arguments: '{"city": "Oslo"}' },
      ]);
    } finally {
      await other.close();
    }
  });
});
