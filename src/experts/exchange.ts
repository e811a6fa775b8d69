import { makespan } from './costs.js';
import type { Costs, Demand, Policy } from './policy.js';
import type { RecentUse } from './recent-use.js';
import type { ExpertsSpec } from './spec.js';

/** A resident expert that leaves the accelerator for a missing one of its layer. */
export interface Exchange {
  layer: number;
  evicted: number;
  admitted: number;
}

/** Is told what is chosen, and exchanges experts for it. */
export interface Follower {
  used(layer: number, demand: readonly Demand[], tokens: number): void;
  /** Called while nothing of that layer is computed; what is queued then travels beside what is. */
  follow(layer: number): void;
}

/** By how much more (base 2) what comes must be worth than what leaves: less exchanges experts back and forth. */
const MARGIN = 0.5;

/**
 * The exchange of a layer by which most is gained: of `wanted`, missing experts that a call used, the one worth most comes for
 * the resident one worth least, but for those that the call used.
 */
export function chooseExchange(
  layer: number,
  wanted: readonly number[],
  resident: Iterable<number>,
  use: RecentUse,
  time: number,
): Exchange | undefined {
  let admitted: number | undefined;
  let most = Number.NEGATIVE_INFINITY;
  for (const expert of wanted) {
    const worth = use.worth(layer, expert, time);
    if (worth > most) [admitted, most] = [expert, worth];
  }
  if (admitted === undefined) return undefined;
  let evicted: number | undefined;
  let least = most - MARGIN;
  for (const expert of resident) {
    if (use.lastOf(layer, expert) === time) continue;
    const worth = use.worth(layer, expert, time);
    if (worth < least) [evicted, least] = [expert, worth];
  }
  return evicted === undefined ? undefined : { layer, evicted, admitted };
}

/** An exchange that brings a layer's placement closer to what it was. */
export function restoring(layer: number, was: ReadonlySet<number>, is: Iterable<number>): Exchange | undefined {
  const there = new Set(is);
  const admitted = [...was].find((expert) => !there.has(expert));
  const evicted = [...there].find((expert) => !was.has(expert));
  return admitted === undefined || evicted === undefined ? undefined : { layer, evicted, admitted };
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
