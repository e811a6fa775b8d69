import { setTimeout } from 'node:timers/promises';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import koffi from 'koffi';
import { pino } from 'pino';
import { load } from '#fiddler/index.js';
import { listen } from '#fiddler/server/server.js';

/** A request whose body is as large as bodies are. */
interface Case {
  name: string;
  path: string;
  body: object;
}

const CHAT = '/v1/chat/completions';
const text = (length: number) => 'The old house stood on a hill. '.repeat(length / 31 + 1).slice(0, length);
const hello = [{ role: 'user', content: 'Hello' }];
const short = { max_tokens: 2, temperature: 0 };

const properties = (count: number) =>
  Object.fromEntries(
    Array.from({ length: count }, (_, i) => [`p${i}`, { type: 'string', description: text(40), maxLength: 5 }]),
  );
const schema = (count: number) => ({
  type: 'object',
  properties: properties(count),
  required: [],
  additionalProperties: false,
});

const CASES: readonly Case[] = [
  { name: 'a small chat', path: CHAT, body: { ...short, messages: hello } },
  {
    name: 'a chat of 1 MB, too long',
    path: CHAT,
    body: { ...short, messages: [{ role: 'user', content: text(1e6) }] },
  },
  {
    name: 'a chat of 1,000 messages, too long',
    path: CHAT,
    body: { ...short, messages: Array.from({ length: 1000 }, () => ({ role: 'user', content: text(200) })) },
  },
  {
    name: 'a chat of 10,000 messages of a character',
    path: CHAT,
    body: { ...short, messages: Array.from({ length: 10_000 }, () => ({ role: 'user', content: 'x' })) },
  },
  {
    name: 'a schema of 500 properties',
    path: CHAT,
    body: { ...short, messages: hello, response_format: { type: 'json_schema', json_schema: { schema: schema(500) } } },
  },
  {
    name: '100 tools, unknown here',
    path: CHAT,
    body: {
      ...{ ...short, messages: hello },
      tools: Array.from({ length: 100 }, (_, i) => ({
        type: 'function',
        function: { name: `f${i}`, parameters: schema(20) },
      })),
    },
  },
  {
    name: 'a bias of 4,096 tokens',
    path: '/v1/completions',
    body: { ...short, prompt: 'Once', logit_bias: Object.fromEntries(Array.from({ length: 4096 }, (_, i) => [i, -1])) },
  },
  {
    name: 'a bias of 80,000 tokens',
    path: '/v1/completions',
    body: {
      ...short,
      prompt: 'Once',
      logit_bias: Object.fromEntries(Array.from({ length: 80_000 }, (_, i) => [i, -1])),
    },
  },
  {
    name: 'a prompt of 200,000 ids, too long',
    path: '/v1/completions',
    body: { ...short, prompt: Array(200_000).fill(7) },
  },
  { name: 'a text of 1 MB, too long', path: '/v1/completions', body: { ...short, prompt: text(1e6) } },
  { name: '1,000 texts, too many', path: '/v1/completions', body: { ...short, prompt: Array(1000).fill('Once') } },
  { name: '350 KB to tokens', path: '/tokenize', body: { content: text(350_000) } },
  { name: '200,000 tokens to text', path: '/detokenize', body: { tokens: Array(200_000).fill(300) } },
  { name: 'half a megabyte of lists', path: CHAT, body: { messages: Array(250_000).fill(0) } },
  {
    name: 'a megabyte of unknown fields',
    path: CHAT,
    body: { ...short, messages: hello, x: Array(90_000).fill({ a: 1 }) },
  },
];

if (isMainThread) await measure();
else {
  const { url } = workerData as { url: string };
  parentPort!.on('message', async (index: number) => {
    const { path, body } = CASES[index]!;
    const response = await fetch(url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    await response.text();
    parentPort!.postMessage(response.status);
  });
}

/** Milliseconds that this thread has had of a CPU: what others take of it does not count. */
function cpuClock(): () => number {
  const THREAD_CPUTIME = 3;
  const gettime = koffi.load(null).func('clock_gettime', 'int', ['int', 'int64_t *']);
  const now = new BigInt64Array(2);
  return () => {
    gettime(THREAD_CPUTIME, now);
    return 1000 * Number(now[0]) + Number(now[1]) / 1e6;
  };
}

/** How many times as long as on the machine of the figures this thread takes for work of this kind, at best. */
function slowness(clock: () => number): number {
  const NOMINAL = 1.6; // milliseconds
  const text = JSON.stringify(Array.from({ length: 5000 }, (_, i) => ({ role: 'user', content: `${i}` })));
  const times = Array.from({ length: 50 }, () => {
    const begin = clock();
    JSON.parse(text);
    return clock() - begin;
  });
  return Math.min(...times) / NOMINAL;
}

async function measure(): Promise<void> {
  const model = await load('models/mini-mixtral', { accelerator: 'none', threads: 1, learn: false, profile: false });
  const log = pino({ level: 'silent' });
  const server = await listen({
    ...{
      host: '127.0.0.1',
      port: 0,
      parallel: 8,
      queue: 64,
      keys: [],
      origins: [],
      aliases: [],
      logPrompts: false,
      log,
    },
  });
  server.service.loaded(model);
  const client = new Worker(new URL(import.meta.url), { workerData: { url: server.url } });
  const clock = cpuClock();
  const slower = slowness(clock);
  let longest = 0;
  let watching = true;
  let last = clock();
  const turn = () => {
    const now = clock();
    longest = Math.max(longest, now - last);
    last = now;
    if (watching) setImmediate(turn);
  };
  turn();
  console.log(
    `Longest turns of the event loop, in ms of CPU; this machine takes ${slower.toFixed(2)} times as long as nominal.`,
  );
  console.log('| request | body, KB | status | the first time, then |');
  console.log('| --- | ---: | ---: | --- |');
  for (const [index, { name, body }] of CASES.entries()) {
    const seen: number[] = [];
    let status = 0;
    for (let round = 0; round < 3; round++) {
      await setTimeout(50);
      longest = 0;
      client.postMessage(index);
      status = await new Promise((resolve) => client.once('message', resolve));
      seen.push(longest);
    }
    const size = (JSON.stringify(body).length / 1000).toFixed(0);
    console.log(`| ${name} | ${size} | ${status} | ${seen.map((ms) => ms.toFixed(1)).join(', ')} |`);
  }
  watching = false;
  await client.terminate();
  await server.close();
  await model.close();
}
