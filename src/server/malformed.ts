import type { Socket } from 'node:net';
import { HttpError, openaiErrors } from './errors.js';

/** Milliseconds that a client which was refused has to read why: a connection that is closed at once may lose that. */
const LINGER = 1000;

const NO_HTTP = { status: 400, name: 'Bad Request', problem: 'this is no HTTP request' };
const MALFORMED: Readonly<Record<string, typeof NO_HTTP>> = {
  ERR_HTTP_REQUEST_TIMEOUT: {
    status: 408,
    name: 'Request Timeout',
    problem: 'the request took too long to arrive',
  },
  HPE_HEADER_OVERFLOW: {
    status: 431,
    name: 'Request Header Fields Too Large',
    problem: 'the head of the request is too large',
  },
};

/** What is no HTTP, or comes too slowly. @param isIdle whether nothing is being answered on that connection */
export function refuseMalformed({ code }: NodeJS.ErrnoException, socket: Socket, isIdle: boolean): void {
  if (code === 'ECONNRESET' || !socket.writable || !isIdle) {
    socket.destroy();
    return;
  }
  const { status, name, problem } = MALFORMED[`${code}`] ?? NO_HTTP;
  const text = JSON.stringify(openaiErrors.body(new HttpError(status, 'bad_request', problem)));
  const head = `HTTP/1.1 ${status} ${name}\r\nconnection: close\r\ncontent-type: application/json\r\n`;
  socket.end(`${head}content-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`);
  const timer = setTimeout(() => socket.destroy(), LINGER);
  socket.once('close', () => clearTimeout(timer));
}
