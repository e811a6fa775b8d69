import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join, relative } from 'node:path';
import { onTestFinished } from 'vitest';

export const COMMIT = '0123456789abcdef0123456789abcdef01234567';

/** A request as the server saw it. */
export interface Seen {
  path: string;
  range: string | undefined;
  authorization: string | undefined;
}

export interface HubServer {
  /** What HF_ENDPOINT is set to. */
  endpoint: string;
  seen: Seen[];
  /** Bytes of all bodies sent. */
  sent(): number;
  /** Requests under way. */
  running(): number;
  /** The most requests that were under way at once. */
  most(): number;
}

/** Answers a request itself, or returns false to leave it to the hub. `nth` counts requests of that path from 1. */
export type Interception = (request: IncomingMessage, response: ServerResponse, nth: number) => boolean;

export interface HubServerOptions {
  intercept?: Interception;
  /** Where files of weights are redirected to. */
  cdn?: string;
  /** Milliseconds before each answer. */
  delay?: number;
  /** Entries of one page of the listing; all by default. */
  page?: number;
}

/** A hub with one repository, whose files are those of `dir`, closed when the test ends. */
export async function hubServer(dir: string, id = 'org/model', options: HubServerOptions = {}): Promise<HubServer> {
  const { intercept = () => false, cdn, delay = 0, page = Number.POSITIVE_INFINITY } = options;
  const counts = new Map<string, number>();
  return serve(delay, (request, response) => {
    const path = decodeURIComponent(request.url!);
    const nth = (counts.get(path) ?? 0) + 1;
    counts.set(path, nth);
    if (intercept(request, response, nth)) return;
    if (path === `/api/models/${id}/revision/main` || path === `/api/models/${id}/revision/${COMMIT}`) {
      const siblings = filesOf(dir).map((rfilename) => ({ rfilename }));
      sendJson(response, { id, sha: COMMIT, siblings });
    } else if (path.startsWith(`/api/models/${id}/tree/${COMMIT}?`)) {
      const from = Number(new URL(path, 'http://hub').searchParams.get('cursor'));
      const entries = filesOf(dir).map((file) => treeEntry(dir, file));
      if (entries.length > from + page) {
        const next = `http://${request.headers.host}/api/models/${id}/tree/${COMMIT}?cursor=${from + page}`;
        response.setHeader('Link', `<${next}>; rel="next"`);
      }
      sendJson(response, entries.slice(from, from + page));
    } else if (path.startsWith(`/api/models/${id}/`)) refuse(response, 404, 'RevisionNotFound');
    else if (!path.startsWith(`/${id}/resolve/${COMMIT}/`)) refuse(response, 401, 'RepoNotFound');
    else if (cdn && path.endsWith('.safetensors')) {
      response.writeHead(302, { Location: `${cdn}/${path.split('/').at(-1)}` }).end();
    } else sendFile(join(dir, path.slice(`/${id}/resolve/${COMMIT}/`.length)), request, response);
  });
}

function filesOf(dir: string): string[] {
  const found = readdirSync(dir, { withFileTypes: true, recursive: true }).filter((entry) => entry.isFile());
  return found.map(({ parentPath, name }) => relative(dir, join(parentPath, name))).sort();
}

/** A file as the hub lists it: weights are in large-file storage. */
function treeEntry(dir: string, path: string) {
  const bytes = readFileSync(join(dir, path));
  const oid = createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
  const large = /\.(safetensors|gguf)$/.test(path) && {
    lfs: { oid: createHash('sha256').update(bytes).digest('hex'), size: bytes.length, pointerSize: 130 },
  };
  return { type: 'file', path, size: bytes.length, oid, ...large };
}

/** A server of files alone, as a content delivery network. */
export async function fileServer(dir: string): Promise<HubServer> {
  return serve(0, (request, response) => sendFile(join(dir, request.url!), request, response));
}

async function serve(delay: number, listener: RequestListener): Promise<HubServer> {
  const seen: Seen[] = [];
  let [sent, running, most] = [0, 0, 0];
  const server = createServer((request, response) => {
    const { range, authorization } = request.headers;
    seen.push({ path: decodeURIComponent(request.url!), range, authorization });
    most = Math.max(most, ++running);
    const write = response.write.bind(response);
    const end = response.end.bind(response);
    response.write = ((piece: Uint8Array) => {
      sent += piece.length;
      return write(piece);
    }) as typeof response.write;
    response.end = ((piece?: Uint8Array | string) => {
      sent += piece?.length ?? 0;
      return end(piece);
    }) as typeof response.end;
    response.on('close', () => running--);
    setTimeout(() => listener(request, response), delay);
  });
  const endpoint = await listen(server);
  return { endpoint, seen, sent: () => sent, running: () => running, most: () => most };
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function sendFile(file: string, request: IncomingMessage, response: ServerResponse): void {
  if (!existsSync(file)) refuse(response, 404, 'EntryNotFound');
  else sendRange(readFileSync(file), request, response);
}

/** Answers with a part of `bytes`, which may stand for the beginning of `size`. */
export function sendRange(
  bytes: Uint8Array,
  request: { headers: { range?: string | undefined } },
  response: ServerResponse,
  size = bytes.length,
): void {
  const [, begin, end] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? [];
  const last = Math.min(end ? Number(end) : size - 1, size - 1);
  if (begin === undefined) response.end(bytes);
  else if (Number(begin) >= size) response.writeHead(416, { 'Content-Range': `bytes */${size}` }).end();
  else {
    const headers = { 'Content-Range': `bytes ${begin}-${last}/${size}`, 'Content-Length': last - Number(begin) + 1 };
    response.writeHead(206, headers).end(bytes.subarray(Number(begin), last + 1));
  }
}

function sendJson(response: ServerResponse, value: unknown): void {
  response.end(JSON.stringify(value));
}

/** Refuses as the hub does. */
export function refuse(
  response: ServerResponse,
  status: number,
  code?: string,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, code ? { 'X-Error-Code': code, ...headers } : headers).end();
}
