import { FiddlerError } from '../../errors.js';
import { Passing } from './failures.js';
import { type Patience, patiently, receive, type Take } from './request.js';

/** A file that is transferred. */
export interface Transfer {
  url: string;
  headers: Record<string, string>;
  /** Bytes that it must have. */
  size: number;
  /** The error of an answer that gives no part of it. */
  refuse(response: Response): FiddlerError;
}

/**
 * Transfers a file from byte `begin()` to its end, and goes on behind what `take` took where a connection breaks off; as
 * long as each attempt brings something it is never given up.
 * @throws FiddlerError `network`; what `refuse` makes and `take` throws; or the reason of `signal`
 */
export function transfer(
  { url, headers, size, refuse }: Transfer,
  patience: Patience,
  signal: AbortSignal,
  begin: () => number,
  take: Take,
): Promise<void> {
  const attempt = async () => {
    const from = begin();
    let skip = 0;
    const accept = (response: Response) => {
      if (response.status === 200)
        skip = from; // a server that knows no ranges gives all of it
      else if (response.status !== 206) throw refuse(response);
      else if (acceptRange(response, url, from, size).size !== size) {
        throw wrong(url, `a file of another size than the ${size} bytes that are listed`);
      }
      return size - from + skip;
    };
    await receive(
      { url, headers: { ...headers, Range: `bytes=${from}-` }, accept },
      patience.timeout,
      signal,
      (piece) => {
        const rest = piece.subarray(Math.min(skip, piece.length));
        skip -= piece.length - rest.length;
        return rest.length > 0 ? take(rest) : undefined;
      },
    );
    if (begin() < size) throw new Passing(`${url} ends after ${begin()} of ${size} bytes`);
  };
  return patiently(patience, signal, attempt, begin);
}

/** The size of a file and the bytes of a part of it, from an answer's headers (RFC 9110, section 14.4). */
export function acceptRange({ status, headers }: Response, url: string, begin: number, end: number) {
  if (status !== 206) throw wrong(url, 'the whole file, which is not downloaded, instead of the part asked for');
  const range = headers.get('Content-Range') ?? '';
  const [first, last, size] = (/^bytes (\d+)-(\d+)\/(\d+)$/.exec(range) ?? []).slice(1).map(Number);
  if (first !== begin || !Number.isSafeInteger(size) || last! >= end || last! >= size!) {
    throw wrong(url, `another part than was asked for (Content-Range: ${range})`);
  }
  return { size: size!, bytes: last! - begin + 1 };
}

export function wrong(url: string, answer: string): FiddlerError {
  return new FiddlerError('network', `${url} gives ${answer}`, 'set HF_ENDPOINT to a server that reads HTTP ranges');
}
