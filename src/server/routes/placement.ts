import { setTimeout } from 'node:timers/promises';
import { openaiErrors } from '../errors.js';
import { Events, event } from '../events.js';
import type { Route } from '../route.js';
import type { Service } from '../service.js';

/** Milliseconds between events. */
const INTERVAL = 1000;

/** What ran where, each second until the server ends: of the newest answer that has ended. */
export const placement: Route = {
  method: 'GET',
  path: '/v1/placement',
  errors: openaiErrors,
  answer: ({ service, signal }) => new Events(seconds(service, AbortSignal.any([signal, service.ending]))),
};

async function* seconds({ admission, metrics, model }: Service, signal: AbortSignal): AsyncGenerator<string> {
  while (!signal.aborted) {
    const { running, waiting } = admission;
    const { experts = model.info.experts, lanes, cache, memory = model.info.memory } = metrics.last ?? {};
    yield event({ running, waiting, experts, lanes, cache, memory }, 'placement');
    await setTimeout(INTERVAL, undefined, { signal }).catch(() => {});
  }
}
