import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { post, type Served, serve } from './process.js';

const KEY = 'a key of this test';
const folder = mkdtempSync(join(tmpdir(), 'fiddler-test-'));
let served: Served;
beforeAll(async () => {
  writeFileSync(join(folder, 'keys'), `\nanother key\n${KEY}\n`);
  served = await serve(
    '--parallel',
    '2',
    '--queue',
    '4',
    '--api-key-file',
    join(folder, 'keys'),
    '--log-level',
    'info',
  );
});
afterAll(async () => {
  await served.stop();
  rmSync(folder, { recursive: true });
});

const authorization = `Bearer ${KEY}`;
const complete = (body: object, init: RequestInit = {}) =>
  post(
    `${served.base}/completions`,
    { prompt: 'Once', max_tokens: 2, ...body },
    { headers: { authorization }, ...init },
  );

/** An honest request after whatever happened. */
async function honest(): Promise<void> {
  const signal = AbortSignal.timeout(20_000);
  let response = await complete({}, { signal });
  while (response.status === 429) {
    await setTimeout(10);
    response = await complete({}, { signal });
  }
  expect(response.status).toBe(200);
  expect(((await response.json()) as { choices: object[] }).choices).toHaveLength(1);
}

/** A connection that has sent `text`. */
function raw(text: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(new URL(served.url).port), '127.0.0.1');
    socket.on('error', () => {});
    socket.once('error', reject);
    socket.once('connect', () => (text === '' ? resolve(socket) : socket.write(text, () => resolve(socket))));
  });
}

/** All that a connection is answered until it is closed. */
async function answered(socket: Socket): Promise<string> {
  let text = '';
  socket.setEncoding('utf8').on('data', (part: string) => {
    text += part;
  });
  await new Promise((resolve) => socket.once('close', resolve));
  return text;
}

const LONG = JSON.stringify({ prompt: 'Once', max_tokens: 2000, ignore_eos: true, stream: true });
const head = (length: number, more = '') =>
  `POST /v1/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: ${authorization}\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\n${more}\r\n`;

describe('a server', () => {
  it('answers nothing but its health to who has no key, a wrong one, or two', async () => {
    expect((await fetch(`${served.url}/health`)).status).toBe(200);
    const wrong: Record<string, string>[] = [
      {},
      { authorization: 'Bearer wrong' },
      { 'x-api-key': `${KEY},another key` },
    ];
    for (const headers of wrong) {
      for (const path of ['/v1/models', '/v1/nothing', '/']) {
        const response = await fetch(served.url + path, { headers });
        expect(response.status).toBe(401);
        expect(response.headers.get('www-authenticate')).toBe('Bearer');
      }
    }
    expect((await fetch(`${served.base}/models`, { headers: { 'x-api-key': KEY } })).status).toBe(200);
  });

  it('goes on behind clients that vanish in any phase', async () => {
    const all = head(LONG.length) + LONG;
    for (const length of [0, 10, head(LONG.length).length, all.length - 1, all.length]) {
      const sockets = await Promise.all(Array.from({ length: 3 }, () => raw(all.slice(0, length))));
      for (const socket of sockets) socket.resetAndDestroy();
      await honest();
    }
    // While they wait, and while they read.
    const sockets = await Promise.all(Array.from({ length: 6 }, () => raw(all)));
    await new Promise((resolve) => sockets[0]!.once('data', resolve));
    for (const socket of sockets) socket.destroy();
    await honest();
  });

  it('refuses bodies that are too large without reading them to the end', async () => {
    const large = await raw(head(100 << 20) + 'x'.repeat(1000));
    expect(await answered(large)).toMatch(/^HTTP\/1.1 413 /);
    const endless = await raw(head(0).replace('content-length: 0', 'transfer-encoding: chunked'));
    const flood = setInterval(() => endless.write(`40000\r\n${'x'.repeat(0x40000)}\r\n`), 1);
    expect(await answered(endless)).toMatch(/^HTTP\/1.1 413 /);
    clearInterval(flood);
    const response = await complete({ prompt: 'x'.repeat(2 << 20) });
    expect(response.status).toBe(413);
    await honest();
  });

  it('refuses what is no HTTP', async () => {
    for (const text of [
      '\0\0\0\0\r\n\r\n',
      'GET / HTTP/9.9\r\n\r\n',
      'hello\r\n\r\n',
      `GET / HTTP/1.1\r\nx: ${'y'.repeat(1e5)}\r\n\r\n`,
    ]) {
      expect(await answered(await raw(text))).toMatch(/^HTTP\/1.1 4\d\d /);
    }
    const smuggled = head(5, 'transfer-encoding: chunked\r\n');
    expect(await answered(await raw(smuggled))).toMatch(/^HTTP\/1.1 400 /);
    await honest();
  });

  it('tells who comes beyond the queue to try again', async () => {
    const responses = await Promise.all(Array.from({ length: 40 }, () => complete({ max_tokens: 16 })));
    const refused = responses.filter(({ status }) => status !== 200);
    expect(responses.length - refused.length).toBeGreaterThanOrEqual(6);
    expect(refused.length).toBeGreaterThan(0);
    for (const response of refused) {
      expect(response.status).toBe(429);
      expect(Number(response.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
      expect(((await response.json()) as { error: { code: string } }).error.code).toBe('queue_full');
    }
    await honest();
  });

  it('answers beside more silent connections than it keeps', async () => {
    const silent = await Promise.all(Array.from({ length: 1200 }, () => raw('')));
    await setTimeout(200); // fetch learns which of the connections that it kept were closed for them
    await honest();
    for (const socket of silent) socket.resume();
    await setTimeout(300);
    const closed = silent.map((socket) => socket.destroyed);
    expect(closed.filter(Boolean).length).toBeGreaterThanOrEqual(200);
    expect(closed.slice(-500).some(Boolean)).toBe(false);
    for (const socket of silent) socket.destroy();
    await honest();
  });

  it('has neither keys nor prompts in its log', async () => {
    await complete({ prompt: 'A very secret prompt' });
    expect(served.stderr()).toContain('"status":200');
    expect(served.stderr()).not.toMatch(/secret|a key of/);
  });
});
