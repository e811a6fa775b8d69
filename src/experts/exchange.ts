import { makespan } from './costs.js';
import type { Forecast } from './forecast.js';
import type { Costs, Demand, Policy } from './policy.js';
import type { ResidentExperts } from './resident-experts.js';
import type { ExpertsSpec } from './spec.js';

/** A resident expert that leaves the accelerator for a missing one of its layer. */
export interface Exchange {
  layer: number;
  evicted: number;
  admitted: number;
}

/** An exchange of a layer's first experts, for measurements; undefined where it has none that are resident, or missing. */
export function firstExchange(layer: number, resident: Pick<ResidentExperts, 'of' | 'missing'>): Exchange | undefined {
  const [evicted] = resident.of(layer);
  const [admitted] = resident.missing(layer);
  return evicted === undefined || admitted === undefined ? undefined : { layer, evicted, admitted };
}

/** Is told what is chosen, and exchanges experts for it. */
export interface Follower {
  /** A call begins. */
  begins(): void;
  used(layer: number, demand: readonly Demand[], tokens: number): void;
  /** Called while nothing of that layer is computed; what is queued then travels beside what is. */
  follow(layer: number): void;
}

/** Of the experts that a token chooses, for so many an exchange may be made in a call: copies take the link's and the thread's time. */
const CHOSEN_EACH = 8;

/** Most exchanges of a layer in a call. */
export function exchangesOf(chosen: number): number {
  return Math.ceil(chosen / CHOSEN_EACH);
}

/** How much likelier to be used what comes must be than what leaves: less exchanges experts back and forth. */
const MARGIN = Math.SQRT2;
/** Calls since it was used, at most, of what comes. */
const OLDEST = 8;
/** Uses that are expected for each that is remembered: what use wanders to is used on. */
const EXPECTED = 2;

/**
 * The exchange of a layer by which most is gained: of its missing experts the one likeliest to be used comes for the resident one
 * that is least likely, but for those that the last call used; what comes was used in the last calls, and so much more than what
 * leaves that this will pay.
 * @param count experts of the layer
 * @param price hits that an exchange must bring, by what it takes; 0 where copies cost nothing
 */
export function chooseExchange(
  layer: number,
  count: number,
  resident: Pick<ReadonlySet<number>, 'has' | 'keys'>,
  forecast: Pick<Forecast, 'worth' | 'age' | 'excess'>,
  price = 0,
): Exchange | undefined {
  let [admitted, most] = [-1, 0];
  for (let expert = 0; expert < count; expert++) {
    if (forecast.age(layer, expert) > OLDEST || resident.has(expert)) continue;
    const worth = forecast.worth(layer, expert);
    if (worth > most) [admitted, most] = [expert, worth];
  }
  if (admitted < 0) return undefined;
  let [evicted, least] = [-1, most / MARGIN];
  for (const expert of resident.keys()) {
    if (forecast.age(layer, expert) === 0) continue;
    const worth = forecast.worth(layer, expert);
    if (worth < least) [evicted, least] = [expert, worth];
  }
  if (evicted < 0 || EXPECTED * forecast.excess(layer, admitted, evicted) < price) return undefined;
  return { layer, evicted, admitted };
}

/** An exchange that brings a layer's placement closer to what it was. */
export function restoring(
  layer: number,
  was: ReadonlySet<number>,
  is: Pick<ReadonlySet<number>, 'has' | 'keys'>,
): Exchange | undefined {
  const admitted = outside(was, is);
  if (admitted === undefined) return undefined;
  const evicted = outside(is, was);
  return evicted === undefined ? undefined : { layer, evicted, admitted };
}

function outside(
  some: Pick<ReadonlySet<number>, 'keys'>,
  others: Pick<ReadonlySet<number>, 'has'>,
): number | undefined {
  for (const each of some.keys()) if (!others.has(each)) return each;
  return undefined;
}

/** What a call of one token takes less, in milliseconds, where one of its missing experts is resident instead. */
export function savedMs(
  policy: Policy,
  costs: Costs,
  { chosen, width }: Pick<ExpertsSpec, 'chosen' | 'width'>,
): number {
  const call = (resident: number) => {
    const demand = Array.from({ length: chosen }, (_, expert) => {
      return { expert, tokens: 1, resident: expert < resident, cached: false };
    });
    return makespan(policy.decide(demand, costs, width), costs, width);
  };
  return call(0) - call(1);
}
