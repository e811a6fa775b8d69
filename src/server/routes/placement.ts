import { setTimeout } from 'node:timers/promises';
import type { Activity, LaneActivity } from '../../index.js';
import { openaiErrors } from '../errors.js';
import { Events, event } from '../events.js';
import { hitRatio } from '../metrics.js';
import type { Route } from '../route.js';
import type { Service } from '../service.js';

/** Milliseconds between events. */
const INTERVAL = 1000;

/** What ran where since the event before, each second until the server ends. */
export const placement: Route = {
  method: 'GET',
  path: '/v1/placement',
  errors: openaiErrors,
  answer: ({ service, signal }) => new Events(seconds(service, AbortSignal.any([signal, service.ending]))),
};

async function* seconds({ admission, model }: Service, signal: AbortSignal): AsyncGenerator<string> {
  let before = await model.activity();
  while (!signal.aborted) {
    const now = await model.activity();
    const { running, waiting } = admission;
    const { lanes, hits, exchanges } = since(before, now);
    const experts = { hitRate: hitRatio({ lanes, hits }), exchanged: exchanges, ...model.info.experts };
    yield event({ running, waiting, kvRows: now.cachedTokens, experts, lanes, memory: model.info.memory }, 'placement');
    before = now;
    await setTimeout(INTERVAL, undefined, { signal }).catch(() => {});
  }
}

function since(before: Activity, now: Activity): Pick<Activity, 'lanes' | 'hits' | 'exchanges'> {
  const lane = (a: LaneActivity, b: LaneActivity) => ({ experts: b.experts - a.experts, bytes: b.bytes - a.bytes });
  return {
    lanes: {
      resident: lane(before.lanes.resident, now.lanes.resident),
      streamed: lane(before.lanes.streamed, now.lanes.streamed),
      cpu: lane(before.lanes.cpu, now.lanes.cpu),
    },
    hits: now.hits - before.hits,
    exchanges: now.exchanges - before.exchanges,
  };
}
