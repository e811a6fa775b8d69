import { createServer } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { refuseMalformed } from '../../src/server/malformed.js';
import type { Server } from '../../src/server/server.js';
import { scripted } from './scripted.js';

let server: Server;
beforeEach(async () => {
  ({ server } = await scripted('hermes'));
});
afterEach(() => server.close());

/** A connection that has sent `text`, and all that it was answered. */
function raw(port: number, text: string): { socket: Socket; read: () => string; ended: Promise<unknown> } {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  let read = '';
  socket.setEncoding('utf8').on('data', (part: string) => {
    read += part;
  });
  socket.on('error', () => {});
  socket.write(text);
  onTestFinished(() => void socket.destroy());
  return {
    socket,
    read: () => read,
    ended: new Promise((resolve) => socket.once('end', resolve).once('close', resolve)),
  };
}

const port = () => Number(new URL(server.url).port);
const LONG = 'a long answer '.repeat(200);

function chat(content: string): string {
  const body = JSON.stringify({ messages: [{ role: 'user', content }], stream: true });
  return `POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

describe('a client that goes', () => {
  it('ends all requests of its connection, also those behind the first', async () => {
    const { socket } = raw(port(), chat(LONG).repeat(3));
    await new Promise((resolve) => socket.once('data', resolve));
    socket.pause();
    await setTimeout(100); // the second waits for its client
    socket.destroy();
    await server.service.drain(1000);
    expect(server.service.admission.running).toBe(0);
  });
});

describe('a client that reads slowly', () => {
  it('has no place any more once its answer was generated', async () => {
    const { service } = server;
    const messages = [{ role: 'user', content: LONG }];
    const { answers } = await service.answer(
      { count: 1, signal: new AbortController().signal, tools: [] },
      async () => [await service.model.prompt(messages)],
      () => ({}),
    );
    await answers[0]!.next();
    while (service.admission.running > 0) await setTimeout(5);
    expect((await answers[0]!.next()).done).toBe(false);
  });
});

describe('/v1/placement', () => {
  it('ends with the server, and has no head alone', async () => {
    const response = await fetch(`${server.url}/v1/placement`);
    expect((await fetch(`${server.url}/v1/placement`, { method: 'HEAD' })).status).toBe(404);
    await server.service.drain(1000);
    expect(await response.text()).toMatch(/^event: placement\n/);
  });
});

describe('what is no HTTP', () => {
  const closed = (socket: Socket) => new Promise((resolve) => socket.once('close', resolve));

  it('is refused, and its connection closed, though the client closes nothing', async () => {
    const other = createServer().on('clientError', (error, socket) => refuseMalformed(error, socket as Socket, true));
    const sockets: Promise<unknown>[] = [];
    other.on('connection', (socket) => sockets.push(closed(socket)));
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void other.close());
    const { port: taken } = other.address() as AddressInfo;
    const { read, ended } = raw(taken, 'hello\r\n\r\n');
    await ended;
    expect(read()).toMatch(/^HTTP\/1.1 400 Bad Request\r\n/);
    await Promise.all(sockets);
  });

  it('has a status of its own where a head is too large', async () => {
    const { read, ended } = raw(port(), `GET / HTTP/1.1\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`);
    await ended;
    expect(read()).toMatch(/^HTTP\/1.1 431 /);
  });

  it('is told nothing in the midst of an answer', async () => {
    const { read, socket, ended } = raw(port(), chat(LONG));
    await new Promise((resolve) => socket.once('data', resolve));
    socket.write('hello\r\n\r\n');
    await ended;
    expect(read()).toMatch(/^HTTP\/1.1 200 /);
    expect(read()).not.toContain('HTTP/1.1 400');
  });
});
