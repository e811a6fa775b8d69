import { openaiErrors } from '../errors.js';
import type { Route } from '../route.js';
import { Text } from '../route.js';

/** What Prometheus reads. */
export const metrics: Route = {
  method: 'GET',
  path: '/metrics',
  errors: openaiErrors,
  async answer({
    service: {
      metrics: { registry },
    },
  }) {
    return new Text(await registry.metrics(), registry.contentType);
  },
};
