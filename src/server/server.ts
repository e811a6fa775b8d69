import type { AddressInfo } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { Access, type AccessOptions } from './access.js';
import { check, parseBody } from './body.js';
import { boundIdleConnections } from './connections.js';
import { HttpError, openaiErrors } from './errors.js';
import { begun, Events, sendEvents } from './events.js';
import { refuseMalformed } from './malformed.js';
import { type AnyRoute, Text } from './route.js';
import { ROUTES } from './routes/index.js';
import { LONGEST_BODY, Service, type ServiceOptions } from './service.js';

export interface ServerOptions extends ServiceOptions, AccessOptions {
  port: number;
  log: Logger;
}

/** Milliseconds in which a client must have sent the head of a request, and all of it. */
const HEAD_TIMEOUT = 10_000;
const REQUEST_TIMEOUT = 60_000;
/** Bodies of more characters are read in a turn of the event loop of their own: others wait for no more than that. */
const LARGE = 100_000;
/** Connections that may be open and say nothing. */
const MOST_IDLE = 1000;

/** What a log has as the status of an answer whose client went before its end. */
const GONE = 499;

/** A server that listens; its model may still be on the way. */
export interface Server {
  readonly service: Service;
  readonly url: string;
  /** Closes all connections. */
  close(): Promise<void>;
}

/** Listens at the host and the port. @throws Error: it is taken */
export async function listen(options: ServerOptions): Promise<Server> {
  const { log, host, port } = options;
  const service = new Service(options, log);
  const app = Fastify({
    logger: false, // what is asked is no matter of a log
    bodyLimit: LONGEST_BODY,
    requestTimeout: REQUEST_TIMEOUT,
    forceCloseConnections: true,
    exposeHeadRoutes: false, // of a stream of events it would not end
    http: { headersTimeout: HEAD_TIMEOUT, connectionsCheckingInterval: 1000 },
    routerOptions: { ignoreTrailingSlash: true },
    clientErrorHandler: (error, socket) => refuseMalformed(error, socket, isIdle(socket)),
    frameworkErrors: (error, _, reply) => void refuse(reply, HttpError.of(error), openaiErrors),
  });
  const isIdle = boundIdleConnections(app.server, MOST_IDLE);
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'string' }, async (_: unknown, text: string) => {
    if (text.length > service.longestBody) throw tooLarge(service.longestBody);
    if (text.length <= LARGE) return parseBody(text);
    await setImmediate();
    const body = parseBody(text);
    await setImmediate();
    return body;
  });
  const shapes = new Map<string, AnyRoute>(ROUTES.map((route) => [route.path, route]));
  const errorsOf = (request: FastifyRequest) => shapes.get(request.routeOptions.url ?? '')?.errors ?? openaiErrors;
  app.setErrorHandler((error, request, reply) => refuse(reply, HttpError.of(error), errorsOf(request)));
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?')[0]!.slice(0, 100);
    refuse(reply, new HttpError(404, 'not_found', `there is no ${request.method} ${path} here`), openaiErrors);
  });
  for (const { body } of ROUTES) body?.safeParse({}); // zod compiles a schema at its first use
  guard(app, new Access(options), options);
  for (const route of ROUTES) add(app, route, service);
  await app.listen({ host, port });
  const { port: taken } = app.server.address() as AddressInfo;
  return {
    service,
    url: `http://${host.includes(':') ? `[${host}]` : host}:${taken}`,
    close: () => app.close(),
  };
}

/** Who may ask is decided before a body is read; web pages that may are told so. */
function guard(app: FastifyInstance, access: Access, { origins }: AccessOptions): void {
  const open = new Set(ROUTES.filter((route) => route.open).map(({ path }) => path));
  app.addHook('onRequest', async (request, reply) => {
    access.checkOrigin(request.raw);
    const { origin } = request.headers;
    if (origins.length > 0) reply.header('vary', 'Origin');
    if (origin !== undefined && access.allowsOrigin(origin)) {
      reply.header('access-control-allow-origin', origin);
      if (request.method === 'OPTIONS') {
        reply.header('access-control-allow-methods', 'GET, POST');
        reply.header('access-control-allow-headers', request.headers['access-control-request-headers'] ?? '*');
        return reply.code(204).send();
      }
    }
    if (!open.has(request.routeOptions.url ?? '')) access.checkKey(request.raw);
    return undefined;
  });
}

function add(app: FastifyInstance, route: AnyRoute, service: Service): void {
  const { method, path: url } = route;
  app.route({ method, url, handler: (request, reply) => handle(route, service, request, reply) });
}

async function handle(
  { path, body: schema, method, open, errors, answer: ask }: AnyRoute,
  service: Service,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<unknown> {
  const begin = performance.now();
  const { controller, end } = service.begin();
  const { signal } = controller;
  let isOver = false;
  const gone = () => {
    if (reply.raw.writableFinished) return;
    if (!isOver) controller.abort();
    reply.raw.destroy();
  };
  reply.raw.once('close', gone);
  request.raw.socket.once('close', gone); // an answer behind another on its connection hears of nothing
  const note = (status: number, error?: HttpError) => {
    service.metrics.request(path, status);
    const ms = Math.round(performance.now() - begin);
    service.log.info({ method, url: path, status, ms, ...(error && { code: error.code }) });
    if (error?.cause && error.status >= 500) service.log.error(error.cause); // others are no faults, but answers
  };
  try {
    if (!open) void service.model; // throws where there is none
    const body = schema && check(schema, request.body);
    const answer = await ask({ body, service, signal });
    if (!(answer instanceof Events)) {
      note(200);
      return answer instanceof Text ? reply.type(answer.contentType).send(answer.text) : answer;
    }
    const events = await begun(answer);
    reply.hijack();
    const headers = reply.getHeaders() as Record<string, string>;
    const failed = await sendEvents(reply.raw, events, { headers, errors, signal });
    note(reply.raw.destroyed ? GONE : 200, failed);
    return reply;
  } catch (error) {
    if (reply.raw.destroyed) {
      note(GONE);
      return reply.hijack();
    }
    const told = HttpError.of(error);
    note(told.status, told);
    throw told;
  } finally {
    request.raw.socket.off('close', gone);
    isOver = true;
    end();
  }
}

function tooLarge(most: number): HttpError {
  return new HttpError(413, 'request_too_large', `the body is larger than ${most} bytes, which no prompt needs here`);
}

function refuse(reply: FastifyReply, error: HttpError, shape: typeof openaiErrors): void {
  if (error.retryAfter !== undefined) reply.header('retry-after', error.retryAfter);
  if (error.status === 401) reply.header('www-authenticate', 'Bearer');
  reply.code(error.status).send(shape.body(error));
}
