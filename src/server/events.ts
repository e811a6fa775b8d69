import type { ServerResponse } from 'node:http';
import { type ErrorShape, HttpError } from './errors.js';

/** Milliseconds without an event after which a comment says that the connection lives. */
const KEEP_ALIVE = 10_000;
/** Milliseconds after which a client that reads nothing has its connection closed. */
const STALLED = 60_000;

/** An answer as a stream of server-sent events. */
export class Events {
  /** @param lines whole events, as they are sent */
  constructor(readonly lines: AsyncIterable<string>) {}
}

/**
 * The same events once there is a first one, or it is long in coming: what refuses a request does so before, and has a
 * status of its own.
 * @throws whatever the events begin with
 */
export async function begun({ lines }: Events): Promise<Events> {
  const iterator = lines[Symbol.asyncIterator]();
  const first = iterator.next();
  let timer: NodeJS.Timeout | undefined;
  const patience = new Promise((resolve) => {
    timer = setTimeout(resolve, KEEP_ALIVE);
  });
  try {
    await Promise.race([first, patience]);
  } finally {
    clearTimeout(timer);
  }
  return new Events(continued(first, iterator));
}

async function* continued<T>(first: Promise<IteratorResult<T>>, iterator: AsyncIterator<T>): AsyncGenerator<T> {
  try {
    for (let next = await first; !next.done; next = await iterator.next()) yield next.value;
  } finally {
    await iterator.return?.();
  }
}

/** An event of the form that OpenAI's API has; others name theirs. */
export function event(data: object, name?: string): string {
  return `${name === undefined ? '' : `event: ${name}\n`}data: ${JSON.stringify(data)}\n\n`;
}

/** Events of which each begins with the fields of `every`. */
export function eventsWith(every: object): (more: object) => string {
  const head = JSON.stringify(every).slice(0, -1);
  return (more) => `data: ${head},${JSON.stringify(more).slice(1)}\n\n`;
}

/**
 * Sends events as fast as the client reads them, an error as the last one.
 * @param headers of the response, further ones
 * @param signal aborted once the client has gone, or is not waited for any more
 * @returns the error that ended them
 */
export async function sendEvents(
  response: ServerResponse,
  { lines }: Events,
  { headers, errors, signal }: { headers: Record<string, string>; errors: ErrorShape; signal: AbortSignal },
): Promise<HttpError | undefined> {
  response.writeHead(200, {
    ...headers,
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache',
    'x-accel-buffering': 'no', // proxies pass each event on at once
  });
  response.flushHeaders();
  response.setTimeout(STALLED, () => response.destroy());
  const keepAlive = setInterval(() => {
    if (!response.writableNeedDrain) response.write(': still here\n\n');
  }, KEEP_ALIVE);
  try {
    for await (const line of lines) {
      const flows = response.write(line);
      if (!flows && !response.destroyed) await drained(response, signal);
      if (response.destroyed) return undefined;
      keepAlive.refresh();
    }
  } catch (error) {
    if (response.destroyed) return undefined; // nobody is left to tell
    const told = HttpError.of(error);
    response.write(errors.event(told));
    return told;
  } finally {
    clearInterval(keepAlive);
    response.end();
  }
  return undefined;
}

function drained(response: ServerResponse, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      response.off('drain', done).off('close', done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    response.on('drain', done).on('close', done);
    signal.addEventListener('abort', done);
    if (signal.aborted) done();
  });
}
