import { openaiErrors } from '../errors.js';
import type { Route } from '../route.js';
import { Text } from '../route.js';

/** What Prometheus reads. */
export const metrics: Route = {
  method: 'GET',
  path: '/metrics',
  errors: openaiErrors,
  async answer({ service: { metrics: told, model } }) {
    told.update(await model.activity(), model.info);
    return new Text(await told.registry.metrics(), told.registry.contentType);
  },
};
