import { Agent, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CASES } from './cases.js';
import { post, type Served, serve } from './process.js';

let served: Served;
beforeAll(async () => {
  served = await serve('--ctx', '12', '--parallel', '4', '--queue', '30');
});
afterAll(() => served.stop());

/** Milliseconds that an honest request takes. */
async function honest(): Promise<number> {
  const begin = performance.now();
  const response = await post(`${served.base}/completions`, { prompt: 'Once', max_tokens: 1 });
  expect(response.status).toBe(200);
  await response.json();
  return performance.now() - begin;
}

function open(): Promise<Socket> {
  return new Promise((resolve) => {
    const socket = connect(Number(new URL(served.url).port), '127.0.0.1', () => resolve(socket));
    socket.on('error', () => {});
  });
}

describe('a server', () => {
  it('answers beside 10,000 connections that say nothing', async () => {
    const silent: Socket[] = [];
    for (let i = 0; i < 10_000; i += 500) {
      silent.push(...(await Promise.all(Array.from({ length: 500 }, open))));
      if (i % 2500 === 0) await honest();
    }
    console.log(`honest request beside them: ${(await honest()).toFixed(0)} ms`);
    for (const socket of silent) socket.destroy();
    await honest();
  });

  it('answers beside clients that send a byte a second, and gives them up', async () => {
    const slow = await Promise.all(Array.from({ length: 50 }, open));
    const answers = slow.map((socket) => {
      let text = '';
      socket.setEncoding('utf8').on('data', (part: string) => (text += part));
      return new Promise<string>((resolve) => socket.once('close', () => resolve(text)));
    });
    const head = 'POST /v1/completions HTTP/1.1\r\nhost: localhost\r\nx: ';
    let at = 0;
    const dripping = setInterval(() => {
      const byte = head[at++] ?? 'x';
      for (const socket of slow) if (!socket.destroyed) socket.write(byte);
    }, 1000);
    await honest();
    for (const text of await Promise.all(answers)) expect(text).toMatch(/^HTTP\/1.1 408 /);
    clearInterval(dripping);
    await honest();
  });

  const runs = Number(process.env.FIDDLER_CASES ?? 5000);
  it(
    `has no fault of its own for any of ${runs} bodies`,
    async () => {
      const bodies = CASES.filter(({ body }) => typeof body === 'object').map(({ path, body }) => ({ path, body }));
      const odd = fc.oneof(
        fc.constantFrom(null, true, -1, 0, 1.5, 1e308, '', 'x', [], {}, [[]], '\u0000', '\ud800', '__proto__', 2 ** 53),
        fc.jsonValue({ maxDepth: 2 }),
      );
      const agent = new Agent({ keepAlive: true, maxSockets: 8 });
      const statuses = new Map<number, number>();
      const ask = (path: string, text: string) =>
        new Promise<{ status: number; answer: string }>((resolve, reject) => {
          const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) };
          const asking = request(`${served.url}${path}`, { method: 'POST', agent, headers }, (response) => {
            let answer = '';
            response.setEncoding('utf8').on('data', (part: string) => (answer += part));
            response.on('end', () => resolve({ status: response.statusCode!, answer }));
          });
          asking.on('error', reject).end(text);
        });
      const changes = fc.array(fc.tuple(fc.nat(), odd), { minLength: 1, maxLength: 3 });
      const cases = fc.sample(fc.tuple(fc.constantFrom(...bodies), changes, fc.boolean()), runs);
      const next = cases.values();
      const work = async () => {
        for (const [{ path, body }, edits, cutOff] of next) {
          const changed = edits.reduce((value, [at, to]) => change(value, at, to), structuredClone(body));
          const text = JSON.stringify(changed) ?? 'null';
          const sent = cutOff && edits[0]![0] % 10 === 0 ? text.slice(0, edits[0]![0] % text.length) : text;
          const { status, answer } = await ask(path, sent);
          statuses.set(status, (statuses.get(status) ?? 0) + 1);
          if (status >= 500) throw new Error(`${path} ${sent}: ${answer}`);
          if (answer.includes('"internal_error"')) throw new Error(`${path} ${sent}: ${answer}`);
        }
      };
      await Promise.all(Array.from({ length: 8 }, work));
      agent.destroy();
      console.log(`answers by status: ${JSON.stringify(Object.fromEntries(statuses))}`);
      expect(statuses.get(400)).toBeGreaterThan(runs / 10);
      expect(statuses.get(200)).toBeGreaterThan(0);
      await honest();
    },
    60_000 + (20 * 1000 * runs) / 10,
  );
});

/** `value` with one of its parts, chosen by `at`, in another form. */
function change(value: unknown, at: number, to: unknown): unknown {
  if (typeof value !== 'object' || value === null) return to;
  const keys = Object.keys(value);
  if (keys.length === 0 || at % 5 === 0) return to;
  const key = keys[at % keys.length]!;
  const inner = (value as Record<string, unknown>)[key];
  const changed = at % 3 === 0 ? to : change(inner, Math.floor(at / keys.length), to);
  if (Array.isArray(value)) return value.map((one, i) => (String(i) === key ? changed : one));
  return { ...value, [key]: changed };
}
