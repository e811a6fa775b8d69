import { mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Served, serve } from './process.js';

/** A template such as Hermes and Qwen3 have. */
const TEMPLATE = `{% if tools %}{{ tools | tojson }} Call with <tool_call>.{% endif %}{% for message in messages %}
{{ message.role }}: {{ message.content }}{% endfor %}
assistant:`;

const dir = mkdtempSync(join(tmpdir(), 'fiddler-test-'));
let served: Served;
let openai: OpenAI;
beforeAll(async () => {
  const from = resolve('models/mini-mixtral');
  for (const file of readdirSync(from)) {
    if (file !== 'tokenizer_config.json') symlinkSync(join(from, file), join(dir, file));
  }
  writeFileSync(join(dir, 'tokenizer_config.json'), JSON.stringify({ chat_template: TEMPLATE }));
  served = await serve(dir, '--alias', 'mini');
  openai = new OpenAI({ baseURL: served.base, apiKey: 'none', maxRetries: 0 });
});
afterAll(async () => {
  await served.stop();
  rmSync(dir, { recursive: true });
});

const CITY = {
  type: 'object',
  properties: { city: { type: 'string', maxLength: 12 }, days: { enum: [1, 2, 3] } },
  required: ['city', 'days'],
  additionalProperties: false,
};
const named = (name: string) => ({ type: 'function' as const, function: { name, parameters: CITY } });
const ask = {
  model: 'mini',
  messages: [{ role: 'user' as const, content: 'The weather in the old house.' }],
  temperature: 1,
  max_tokens: 300,
};

describe('a model that was never taught to call tools', () => {
  it.each(['required', { type: 'function', function: { name: 'rain' } }] as const)(
    'calls one where it is forced: %j',
    async (tool_choice) => {
      for (let seed = 0; seed < 3; seed++) {
        const { choices } = await openai.chat.completions.create({
          ...{ ...ask, seed, tool_choice, tools: [named('weather'), named('rain')], parallel_tool_calls: false },
        });
        const { message, finish_reason } = choices[0]!;
        expect(finish_reason).toBe('tool_calls');
        expect(message.content).toBeNull();
        const [call] = message.tool_calls!;
        if (call?.type !== 'function') throw new Error('no call');
        if (tool_choice !== 'required') expect(call.function.name).toBe('rain');
        const { city, days } = JSON.parse(call.function.arguments);
        expect([typeof city, [1, 2, 3].includes(days)]).toEqual(['string', true]);
      }
    },
  );

  it("calls one in Anthropic's messages, streamed", async () => {
    const anthropic = new Anthropic({ baseURL: served.url, apiKey: 'none', maxRetries: 0 });
    const message = await anthropic.messages
      .stream({
        ...{ ...ask, tools: [{ name: 'rain', input_schema: CITY as Anthropic.Tool.InputSchema }] },
        tool_choice: { type: 'tool', name: 'rain' },
      })
      .finalMessage();
    expect(message.stop_reason).toBe('tool_use');
    expect(message.content).toMatchObject([{ type: 'tool_use', name: 'rain', input: { city: expect.any(String) } }]);
  });

  it('gives JSON of a schema or a call where both are asked for', async () => {
    const schema = { type: 'object', properties: { a: { const: 1 } }, required: ['a'], additionalProperties: false };
    const { choices } = await openai.chat.completions.create({
      ...{ ...ask, n: 3, seed: 1, tools: [named('rain')] },
      response_format: { type: 'json_schema', json_schema: { name: 'one', schema } },
    });
    for (const { message } of choices) {
      if (message.tool_calls) expect(message.tool_calls).not.toHaveLength(0);
      else expect(message.content).toBe('{"a": 1}');
    }
  });

  it.each([
    [{ structured_outputs: { regex: '[a-f]{3}-\\d\\d' } }, /^[a-f]{3}-\d\d$/],
    [{ guided_regex: '(yes|no)!' }, /^(yes|no)!$/],
    [{ structured_outputs: { grammar: 'root ::= "SELECT " [a-z] " FROM " [a-z]' } }, /^SELECT [a-z] FROM [a-z]$/],
    [{ grammar: 'root ::= "a" | "b"' }, /^[ab]$/],
    [{ structured_outputs: { choice: ['good', 'bad'] } }, /^(good|bad)$/],
    [{ guided_json: { const: 3 } }, /^3$/],
  ])('answers in the form %j', async (form, expected) => {
    const { choices } = await openai.chat.completions.create({ ...ask, ...form });
    expect(choices[0]!.message.content).toMatch(expected);
    expect(choices[0]!.finish_reason).toBe('stop');
  });
});
