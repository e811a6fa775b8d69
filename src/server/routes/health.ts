import { HttpError, openaiErrors } from '../errors.js';
import type { Route } from '../route.js';

/** Whether the server can be asked; 503 says why not. */
export const health: Route = {
  method: 'GET',
  path: '/health',
  open: true,
  errors: openaiErrors,
  answer({ service: { closed } }) {
    if (closed !== undefined) throw new HttpError(503, 'unavailable', closed, { retryAfter: 1 });
    return { status: 'ok' };
  },
};
