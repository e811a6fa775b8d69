import { setTimeout as sleep } from 'node:timers/promises';
import { FiddlerError } from '../../errors.js';
import { Passing, passingStatus, unreachable } from './failures.js';

/** How long a server is waited for. */
export interface Patience {
  /** Milliseconds without an answer, or between two pieces of one, after which an attempt is given up. */
  timeout: number;
  /** Attempts in all. */
  attempts: number;
  /** Milliseconds before the second attempt, doubled before each further one, and varied by half. */
  pause: number;
}

export const PATIENCE: Patience = { timeout: 10_000, attempts: 5, pause: 500 };

/** A pause is not doubled beyond this, and a server that asks for a longer one is not asked again; milliseconds. */
const LONGEST_PAUSE = 60_000;

export interface Request {
  url: string;
  headers: Record<string, string>;
  /**
   * Looks at the answer before its body is read, and gives the most bytes that the body may have.
   * @throws FiddlerError: an answer of no use, whose body is not read
   */
  accept(response: Response): number;
}

/** What is done with a body as it comes; the next piece waits until it is done. */
export type Take = (piece: Uint8Array) => void | Promise<void>;

/**
 * The body that a server answers. What may pass (silence, a broken connection, 408, 429 and 5xx) is tried again.
 * Authorization does not follow a redirection to another origin (https://fetch.spec.whatwg.org/#http-redirect-fetch).
 * @throws FiddlerError `network`, or what `accept` throws; or the reason of `signal`
 */
export function request(what: Request, patience: Patience, signal: AbortSignal): Promise<Uint8Array> {
  return patiently(patience, signal, async () => {
    const pieces: Uint8Array[] = [];
    await receive(what, patience.timeout, signal, (piece) => void pieces.push(piece));
    return Buffer.concat(pieces);
  });
}

/**
 * Does `attempt` until it succeeds or fails for good.
 * @param progress where it grows between two failures, attempts are counted anew
 * @throws FiddlerError `network`, or what `attempt` throws; or the reason of `signal`
 */
export async function patiently<T>(
  patience: Patience,
  signal: AbortSignal,
  attempt: () => Promise<T>,
  progress: () => number = () => 0,
): Promise<T> {
  let reached = progress();
  for (let attempts = 1; ; attempts++) {
    signal.throwIfAborted();
    try {
      return await attempt();
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof Passing)) throw error;
      if (progress() > reached) attempts = 1;
      reached = progress();
      const pause = Math.min(LONGEST_PAUSE, patience.pause * 2 ** (attempts - 1) * (0.5 + Math.random()));
      if (attempts >= patience.attempts || error.pause > LONGEST_PAUSE) throw error.final(attempts);
      await sleep(Math.max(pause, error.pause), undefined, { signal }).catch(() => signal.throwIfAborted());
    }
  }
}

/**
 * Asks once, and hands the body to `take` piece by piece.
 * @param timeout milliseconds without an answer, or between two pieces of one
 * @throws Passing what may pass when it is tried again; FiddlerError `network`, or what `accept` and `take` throw
 */
export async function receive(
  { url, headers, accept }: Request,
  timeout: number,
  signal: AbortSignal,
  take: Take,
): Promise<void> {
  const silence = new AbortController();
  let taking = false; // the server is not to blame for a slow disk
  const timer = setInterval(() => taking || silence.abort(), timeout);
  try {
    const response = await connect(url, headers, AbortSignal.any([signal, silence.signal]));
    timer.refresh();
    let longest: number;
    try {
      const passing = passingStatus(url, response);
      if (passing) throw passing;
      longest = accept(response);
    } catch (error) {
      await response.body?.cancel(); // closes the connection: the rest is not downloaded
      throw error;
    }
    for await (const piece of pieces(url, response, longest)) {
      taking = true;
      await take(piece);
      taking = false;
      timer.refresh();
    }
  } catch (error) {
    if (!silence.signal.aborted) throw error;
    throw new Passing(`${new URL(url).host} does not answer for ${timeout / 1000} s`, error);
  } finally {
    clearInterval(timer);
  }
}

async function connect(url: string, headers: Record<string, string>, signal: AbortSignal): Promise<Response> {
  try {
    return await fetch(url, { headers, signal });
  } catch (error) {
    throw unreachable(url, error);
  }
}

/** The pieces of a body, of at most `longest` bytes in all. */
async function* pieces(url: string, { body }: Response, longest: number): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  try {
    for await (const piece of body ?? []) {
      bytes += piece.length;
      if (bytes > longest) {
        const problem = `${url} is longer than the ${longest} bytes that were expected`;
        throw new FiddlerError('network', problem, 'check HF_ENDPOINT, or try again later'); // leaving the loop closes it
      }
      yield piece;
    }
  } catch (error) {
    throw error instanceof FiddlerError ? error : unreachable(url, error);
  }
}
