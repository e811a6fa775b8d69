import type { z } from 'zod';
import type { ErrorShape } from './errors.js';
import type { Service } from './service.js';

/** A request that was checked. */
export interface Asked<Body> {
  body: Body;
  service: Service;
  /** Aborted once the client has gone. */
  signal: AbortSignal;
}

/** An answer that is no JSON. */
export class Text {
  constructor(
    readonly text: string,
    readonly contentType: string,
  ) {}
}

/** One thing that a server answers: a file each. */
export interface Route<Body = undefined> {
  method: 'GET' | 'POST';
  path: string;
  /** Of the request; fields that it does not name are ignored. */
  body?: z.ZodType<Body>;
  /** Answered without a key, and whatever state the model is in. */
  open?: boolean;
  errors: ErrorShape;
  /** A JSON object, {@link Events}, or {@link Text}. @throws HttpError, FiddlerError */
  answer(asked: Asked<Body>): unknown;
}

/** A route of any body. */
// biome-ignore lint/suspicious/noExplicitAny: each route's schema gives the body that it takes
export type AnyRoute = Route<any>;
