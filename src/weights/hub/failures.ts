import { FiddlerError } from '../../errors.js';

const REMEDY = 'check the network connection and HF_ENDPOINT, or try again later';

/** What may pass when it is tried again. */
export class Passing extends Error {
  constructor(
    readonly problem: string,
    cause?: unknown,
    /** Milliseconds for which the server asks not to be asked. */
    readonly pause = 0,
  ) {
    super(problem, { cause });
  }

  /** The error once nothing is tried any more. */
  final(attempts: number): FiddlerError {
    const asked = this.pause > 0 ? `, and asks to wait ${Math.ceil(this.pause / 1000)} s` : '';
    const tried = attempts === 1 ? '' : ` (${attempts} attempts)`;
    return new FiddlerError('network', `${this.problem}${asked}${tried}`, REMEDY, { cause: this });
  }
}

/** The failure of an answer whose status says that it may pass. */
export function passingStatus(url: string, { status, statusText, headers }: Response): Passing | undefined {
  if (status !== 408 && status !== 429 && status < 500) return undefined;
  const pause = retryAfter(headers.get('Retry-After'));
  return new Passing(`${new URL(url).host} answers ${status} ${statusText}`.trimEnd(), undefined, pause);
}

/** Milliseconds of a Retry-After header, which gives seconds or a date (RFC 9110, section 10.2.3). */
function retryAfter(value: string | null): number {
  if (value === null) return 0;
  const milliseconds = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isFinite(milliseconds) ? Math.max(0, milliseconds) : 0;
}

/** Causes that may pass, by the codes that Node and undici give them. */
const PASSING = new Set([
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'UND_ERR_BODY_TIMEOUT',
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_SOCKET', // the server closed the connection
]);

const REASONS: Readonly<Record<string, string>> = {
  ENOTFOUND: 'no such host, or no network',
  EAI_AGAIN: 'no answer to the question where it is: no network?',
  ECONNREFUSED: 'it refuses the connection',
};

/**
 * What it means that `fetch` failed.
 * @returns what may pass
 * @throws FiddlerError `network`: anything else
 */
export function unreachable(url: string, error: unknown): Passing {
  const { message, code = '' } = ((error as Error).cause ?? error) as NodeJS.ErrnoException;
  const problem = `cannot reach ${new URL(url).host}: ${REASONS[code] ?? (message || code)}`;
  if (PASSING.has(code)) return new Passing(problem, error);
  throw new FiddlerError('network', problem, REMEDY, { cause: error });
}
