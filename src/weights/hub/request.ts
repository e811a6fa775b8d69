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

/**
 * The body that a server answers. What may pass (silence, a broken connection, 408, 429 and 5xx) is tried again.
 * Authorization does not follow a redirection to another origin (https://fetch.spec.whatwg.org/#http-redirect-fetch).
 * @throws FiddlerError `network`, or what `accept` throws; or the reason of `signal`
 */
export async function request(what: Request, patience: Patience, signal: AbortSignal): Promise<Uint8Array> {
  for (let attempt = 1; ; attempt++) {
    signal.throwIfAborted();
    try {
      return await attemptOnce(what, patience.timeout, signal);
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof FiddlerError) throw error;
      const failure = error instanceof Passing ? error : unreachable(what.url, error);
      const pause = Math.min(LONGEST_PAUSE, patience.pause * 2 ** (attempt - 1) * (0.5 + Math.random()));
      if (attempt >= patience.attempts || failure.pause > LONGEST_PAUSE) throw failure.final(attempt);
      await sleep(Math.max(pause, failure.pause), undefined, { signal }).catch(() => signal.throwIfAborted());
    }
  }
}

async function attemptOnce({ url, headers, accept }: Request, timeout: number, signal: AbortSignal) {
  const silence = new AbortController();
  const timer = setTimeout(() => silence.abort(), timeout);
  try {
    const response = await fetch(url, { headers, signal: AbortSignal.any([signal, silence.signal]) });
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
    return await readBody(url, response, longest, () => timer.refresh());
  } catch (error) {
    if (!silence.signal.aborted) throw error;
    throw new Passing(`${new URL(url).host} does not answer for ${timeout / 1000} s`, error);
  } finally {
    clearTimeout(timer);
  }
}

async function readBody(url: string, { body }: Response, longest: number, onPiece: () => void): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of body ?? []) {
    onPiece();
    bytes += piece.length;
    if (bytes > longest) {
      const problem = `${url} is longer than the ${longest} bytes that were expected`;
      throw new FiddlerError('network', problem, 'check HF_ENDPOINT, or try again later'); // leaving the loop closes it
    }
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}
