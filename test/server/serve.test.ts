import { execFileSync } from 'node:child_process';
import { request } from 'node:http';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fiddler } from '../cli/fiddler.js';
import { CASES } from './cases.js';
import { post, type Served, serve } from './process.js';

let served: Served;
let openai: OpenAI;
beforeAll(async () => {
  // In the stored type a choice may turn with what else is computed in a call.
  served = await serve('--dtype', 'f32', '--parallel', '4', '--queue', '64', '--alias', 'mini', '--alias', 'other');
  openai = new OpenAI({ baseURL: served.base, apiKey: 'none', maxRetries: 0 });
});
afterAll(() => served.stop());

const greedy = { model: 'mini', temperature: 0, max_tokens: 24 } as const;
const PROMPT = 'Once upon a time';

/** A request by node:http, which sends any Host header and any path as they are. */
function ask({ path, headers, body }: { path: string; headers?: Record<string, string>; body?: unknown }) {
  return new Promise<{ status: number; json: unknown }>((resolve, reject) => {
    const { port } = new URL(served.url);
    const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
    const all = { ...(text !== undefined && { 'content-type': 'application/json' }), ...headers };
    const asking = request(
      { host: '127.0.0.1', port, path, method: text === undefined ? 'GET' : 'POST', headers: all },
      (response) => {
        let answer = '';
        response.setEncoding('utf8').on('data', (part) => (answer += part));
        response.on('end', () => resolve({ status: response.statusCode!, json: JSON.parse(answer) }));
      },
    );
    asking.on('error', reject).end(text);
  });
}

describe('every route', () => {
  it.each(CASES.map((one) => [one.name, one] as const))('%s', async (_, { status, code, param, ...asked }) => {
    const { status: found, json } = await ask(asked);
    expect(found, JSON.stringify(json)).toBe(status);
    if (status === 200) return;
    const { error } = json as { error: { message: string; type: string; code: string; param: string | null } };
    expect(error.message).toMatch(/^\S.*\S$/);
    expect(error.type).toMatch(/_error$/);
    if (code !== undefined) expect(error.code).toBe(code);
    if (param !== undefined) expect(error.param).toBe(param);
  });
});

describe('answers', () => {
  it('are those of `fiddler run`, however they are asked for', async () => {
    const { stdout } = await fiddler([
      ...['run', PROMPT, '--accelerator', 'none', '--dtype', 'f32', '--no-learn', '--no-profile'],
      ...['--dtype', 'f32', '--temperature', '0', '--max-tokens', '24'],
    ]);
    const expected = stdout.trimEnd();
    const whole = await openai.completions.create({ ...greedy, prompt: PROMPT });
    expect(whole.choices[0]!.text.trimEnd()).toBe(expected);
    expect(whole.choices[0]!.finish_reason).toBe('length');
    let streamed = '';
    for await (const { choices } of await openai.completions.create({ ...greedy, prompt: PROMPT, stream: true }))
      streamed += choices[0]!.text;
    expect(streamed.trimEnd()).toBe(expected);
    // A model without a template continues what was said.
    const messages = [{ role: 'user', content: PROMPT }] as const;
    const chat = await openai.chat.completions.create({ ...greedy, messages: [...messages] });
    expect(chat.choices[0]!.message.content!.trimEnd()).toBe(expected);
    const stream = openai.chat.completions.stream({ ...greedy, messages: [...messages] });
    expect((await stream.finalContent())!.trimEnd()).toBe(expected);
    const curl = execFileSync('curl', [
      ...['-sN', `${served.base}/completions`, '-H', 'content-type: application/json'],
      ...['-d', JSON.stringify({ ...greedy, prompt: PROMPT, stream: true })],
    ]).toString();
    const events = curl.split('\n\n').filter((event) => event.startsWith('data: {'));
    expect(curl).toContain('data: [DONE]\n\n');
    const texts = events.map((event) => JSON.parse(event.slice(6)).choices[0].text);
    expect(texts.join('').trimEnd()).toBe(expected);
  });

  it('have the usage, the cached part of the prompt too', async () => {
    const messages = [{ role: 'user' as const, content: 'The old house stood on a hill, and' }];
    await openai.chat.completions.create({ ...greedy, messages });
    const { usage } = await openai.chat.completions.create({ ...greedy, messages, n: 2 });
    const prompt = usage!.prompt_tokens;
    expect(usage!.completion_tokens).toBe(48);
    expect(usage!.total_tokens).toBe(prompt + 48);
    expect(usage!.prompt_tokens_details!.cached_tokens).toBe(prompt - 1);
    const chunks = [];
    const options = { stream: true, stream_options: { include_usage: true } } as const;
    for await (const chunk of await openai.chat.completions.create({ ...greedy, messages, ...options }))
      chunks.push(chunk);
    expect(chunks.at(-1)!.usage!.completion_tokens).toBe(24);
    expect(chunks.slice(0, -1).every(({ usage: none }) => none === null)).toBe(true);
  });

  it('to one seed are the same, those of several choices too, and differ from each other', async () => {
    const ask = async () => {
      const { choices } = await openai.completions.create({
        ...{ model: 'mini', prompt: PROMPT, temperature: 1, max_tokens: 16, n: 3, seed: 7 },
      });
      return choices.map(({ text }) => text);
    };
    const first = await ask();
    expect(await ask()).toEqual(first);
    expect(new Set(first).size).toBe(3);
  });

  it('have log-probabilities that fit their tokens', async () => {
    const { choices } = await openai.chat.completions.create({
      ...greedy,
      messages: [{ role: 'user', content: PROMPT }],
      logprobs: true,
      top_logprobs: 3,
    });
    const { content } = choices[0]!.logprobs!;
    expect(content!.map(({ token }) => token).join('')).toBe(choices[0]!.message.content);
    for (const { token, logprob, bytes, top_logprobs } of content!) {
      expect(top_logprobs).toHaveLength(3);
      expect(top_logprobs[0]!.token).toBe(token); // greedy
      expect(top_logprobs[0]!.logprob).toBe(logprob);
      expect(Buffer.from(bytes!).toString()).toBe(token);
    }
  });

  it('have the bytes of tokens that are no whole characters', async () => {
    const ask = { ...greedy, messages: [{ role: 'user' as const, content: PROMPT }], logprobs: true, top_logprobs: 1 };
    const form = { structured_outputs: { choice: ['é😀 日'] } };
    const { choices } = await openai.chat.completions.create({ ...ask, ...form });
    const { content } = choices[0]!.logprobs!;
    expect(content!.length).toBeGreaterThan(4);
    expect(Buffer.from(content!.flatMap(({ bytes }) => bytes!)).toString()).toBe('é😀 日');
  });

  it('end at a stop text, which they do not have', async () => {
    const { choices } = await openai.completions.create({ ...greedy, prompt: PROMPT });
    const stop = choices[0]!.text.slice(10, 14);
    const stopped = await openai.completions.create({ ...greedy, prompt: PROMPT, stop });
    expect(stopped.choices[0]!.text).toBe(choices[0]!.text.slice(0, choices[0]!.text.indexOf(stop)));
    expect(stopped.choices[0]!.finish_reason).toBe('stop');
  });

  it('of many requests at once are those of each alone', async () => {
    const prompts = Array.from({ length: 32 }, (_, i) => `Chapter ${i}. The`);
    const one = async (prompt: string) => {
      const { choices } = await openai.completions.create({ ...greedy, prompt, max_tokens: 8 });
      return choices[0]!.text;
    };
    const together = await Promise.all(prompts.map(one));
    for (const i of prompts.keys()) expect(await one(prompts[i]!)).toBe(together[i]);
    expect(new Set(together).size).toBeGreaterThan(3);
  });
});

describe('what is told of the model', () => {
  /** The value of a metric. */
  const metric = async (name: string) => {
    const text = await (await fetch(`${served.url}/metrics`)).text();
    const found = text.split('\n').find((line) => line.startsWith(`fiddler_${name} `));
    return Number(found?.split(' ')[1]);
  };

  it('moves while an answer is generated', async () => {
    const gone = new AbortController();
    const bytes = 'lane_bytes_total{lane="cpu"}';
    const before = await metric(bytes);
    const placed = await fetch(`${served.base}/placement`, { signal: gone.signal });
    const events = placed.body!.pipeThrough(new TextDecoderStream()).getReader();
    const first = JSON.parse((await events.read()).value!.split('data: ')[1]!);
    expect(first).toMatchObject({ lanes: { cpu: { experts: 0, bytes: 0 } }, experts: { hitRate: 0, exchanged: 0 } });
    const long = { ...greedy, prompt: PROMPT, max_tokens: 2000, ignore_eos: true, stream: true };
    const answer = await post(`${served.base}/completions`, long, { signal: gone.signal });
    await answer.body!.getReader().read();
    const { value } = await events.read(); // a second later
    const second = JSON.parse(value!.split('data: ')[1]!);
    expect(second.lanes.cpu.bytes).toBeGreaterThan(0);
    expect(second.kvRows).toBeGreaterThan(first.kvRows);
    expect(await metric(bytes)).toBeGreaterThan(before);
    expect(await metric('kv_rows')).toBeGreaterThan(first.kvRows);
    gone.abort();
  });
});

describe('clients', () => {
  it('get errors that their libraries know', async () => {
    const asking = openai.chat.completions.create({ ...greedy, model: 'gpt-5', messages: [] });
    await expect(asking).rejects.toBeInstanceOf(OpenAI.BadRequestError);
    const missing = openai.chat.completions.create({
      ...greedy,
      model: 'gpt-5',
      messages: [{ role: 'user', content: '' }],
    });
    await expect(missing).rejects.toBeInstanceOf(OpenAI.NotFoundError);
  });

  it.each([
    ['/completions', { prompt: Array(5000).fill(5) }],
    ['/messages', { messages: [{ role: 'user', content: ' of'.repeat(5000) }] }],
  ])('at %s see by the words of both APIs that a prompt is too long', async (path, body) => {
    const answer = await post(`${served.base}${path}`, body);
    const { error } = (await answer.json()) as { error: { message: string } };
    expect(error.message).toMatch(/prompt is too long: \d+ tokens > 2048 maximum/);
    expect(error.message).toContain("this model's maximum context length is 2048 tokens");
  });

  it('find the model under its names', async () => {
    const names = [];
    for await (const model of openai.models.list()) names.push(model.id);
    expect(names).toEqual(['mini', 'other']);
    const { model } = await openai.completions.create({ ...greedy, model: 'other', prompt: 'A', max_tokens: 1 });
    expect(model).toBe('other');
  });

  it('that vanish free their generation', async () => {
    const long = { ...greedy, prompt: PROMPT, max_tokens: 2000, ignore_eos: true, stream: true };
    for (let i = 0; i < 8; i++) {
      const gone = new AbortController();
      const response = await post(`${served.base}/completions`, long, { signal: gone.signal });
      const reader = response.body!.getReader();
      await reader.read();
      gone.abort();
    }
    // Eight long answers in turn would take many times as long as this one.
    const { choices } = await openai.completions.create(
      { ...greedy, prompt: PROMPT, max_tokens: 4 },
      { timeout: 10_000 },
    );
    expect(choices[0]!.text).not.toBe('');
  });
});
