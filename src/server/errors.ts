import { type ErrorCode, FiddlerError } from '../errors.js';

/** An answer that is an error: its status, a code for programs, and a sentence for people. */
export class HttpError extends Error {
  /** The field of the request that is wrong. */
  readonly param: string | undefined;
  /** Seconds after which it may go better. */
  readonly retryAfter: number | undefined;

  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    { param, retryAfter, cause }: { param?: string; retryAfter?: number; cause?: unknown } = {},
  ) {
    super(message, { cause });
    this.param = param;
    this.retryAfter = retryAfter;
  }

  /** What any error is to a client. What a client did not cause is not described to it. */
  static of(error: unknown): HttpError {
    if (error instanceof HttpError) return error;
    const { statusCode, code, message } = error as { statusCode?: unknown; code?: unknown; message?: unknown };
    if (typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500) {
      const [name, problem] = REFUSED[`${code}`] ?? ['bad_request', `${message}`];
      return new HttpError(statusCode, name, problem, { cause: error });
    }
    const known = FiddlerError.of(error);
    const [status, name] = STATUS[known.code];
    return new HttpError(status, name, FAULTS[known.code] ?? known.message, { cause: error });
  }
}

/** What the HTTP library refuses, as clients get it. */
const REFUSED: Readonly<Record<string, readonly [code: string, problem: string]>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: ['request_too_large', 'the body is larger than any prompt needs'],
  FST_ERR_CTP_INVALID_MEDIA_TYPE: [
    'unsupported_media_type',
    'the body must be JSON; say content-type: application/json',
  ],
};

const STATUS: Readonly<Record<ErrorCode, readonly [status: number, code: string]>> = {
  usage: [400, 'invalid_value'],
  context: [400, 'context_length_exceeded'],
  unsupported: [400, 'unsupported'],
  memory: [503, 'out_of_memory'],
  file: [500, 'file'],
  network: [500, 'network'],
  device: [500, 'device'],
  numeric: [500, 'numeric'],
  internal: [500, 'internal_error'],
};

/** What clients are told of faults: their messages name what is on this machine, and are a matter of the log. */
const FAULTS: Partial<Record<ErrorCode, string>> = {
  memory: 'the memory of this server does not suffice; its log says more',
  file: 'a file of the model cannot be read; the log of the server says more',
  network: 'the server cannot reach what it needs; its log says more',
  device: 'a device of the server fails; its log says more',
  numeric: 'the model computed values that are not numbers; the log of the server says more',
  internal: 'the server made a mistake; its log says more',
};

/** What an API calls kinds of errors, by their status, and how its errors look. */
export interface ErrorShape {
  body(error: HttpError): object;
  /** An error in the midst of a stream of events. */
  event(error: HttpError): string;
}

const OPENAI_TYPES: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  403: 'permission_error',
  429: 'rate_limit_error',
};

export const openaiErrors: ErrorShape = {
  body: ({ status, code, message, param = null }) => ({
    error: {
      message,
      type: OPENAI_TYPES[status] ?? (status < 500 ? 'invalid_request_error' : 'server_error'),
      param,
      code,
    },
  }),
  event: (error) => `data: ${JSON.stringify(openaiErrors.body(error))}\n\n`,
};

const ANTHROPIC_TYPES: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  503: 'overloaded_error',
};

export const anthropicErrors: ErrorShape = {
  body: ({ status, message }) => ({
    type: 'error',
    error: { type: ANTHROPIC_TYPES[status] ?? (status < 500 ? 'invalid_request_error' : 'api_error'), message },
  }),
  event: (error) => `event: error\ndata: ${JSON.stringify(anthropicErrors.body(error))}\n\n`,
};
