import { type Exchange, firstExchange, savedMs } from './exchange.js';
import type { Experts } from './experts.js';
import { median } from './repeat.js';
import type { ExpertsSpec } from './spec.js';

/** Calls between two looks at what a hit saves. */
const LOOK_EVERY = 64;
/** Share of an exchange's copies that others wait for, where they run beside everything else. */
const DISTURBANCE = 0.25;
/** Exchanges are timed for so many milliseconds, and so many times there and back: the code is compiled meanwhile. */
const MEASURING_MS = 50;
const PAIRS = { least: 2, most: 32 };

/** Milliseconds: what a hit saves, and what an exchange takes. */
export interface ExchangeCosts {
  saved: number;
  exchange: number;
}

/** Milliseconds of an exchange: until it is queued, and until its copies are done. */
interface ExchangeTimes {
  queued: number;
  done: number;
}

/**
 * Measures what an exchange takes, by some that are undone. Undefined where no layer has both resident and missing experts.
 * @returns what it says from then on, asked once a call
 */
export function exchangeCosts(experts: Experts, layers: readonly ExpertsSpec[]): (() => ExchangeCosts) | undefined {
  const times = measure(experts, layers.length);
  if (!times) return undefined;
  let calls = 0;
  let saved = 0;
  return () => {
    if (calls++ % LOOK_EVERY === 0) saved = savedMs(experts.policy, experts.costs.for(1), layers[0]!);
    const { queued, done } = times;
    const { overlap } = experts.costs.measured;
    return { saved, exchange: overlap ? queued + DISTURBANCE * (done - queued) : done };
  };
}

function measure(experts: Experts, layers: number): ExchangeTimes | undefined {
  for (let layer = 0; layer < layers; layer++) {
    const there = firstExchange(layer, experts.resident);
    if (!there) continue;
    const back = { layer, evicted: there.admitted, admitted: there.evicted };
    const begin = performance.now();
    const times: ExchangeTimes[] = [];
    for (let pair = 0; pair < PAIRS.most; pair++) {
      if (pair >= PAIRS.least && performance.now() - begin >= MEASURING_MS) break;
      times.push(timed(experts, there), timed(experts, back));
    }
    const later = times.slice(times.length >> 1);
    return { queued: median(later.map(({ queued }) => queued)), done: median(later.map(({ done }) => done)) };
  }
  return undefined;
}

function timed(experts: Experts, exchange: Exchange): ExchangeTimes {
  experts.wait();
  const begin = performance.now();
  experts.exchanges.queue(exchange);
  const queued = performance.now() - begin;
  experts.wait();
  return { queued, done: performance.now() - begin };
}
