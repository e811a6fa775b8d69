import { makespan } from './costs.js';
import type { Counts } from './placement.js';
import type { Costs, Policy } from './policy.js';
import type { ExpertsSpec } from './spec.js';

/** A resident expert that leaves the accelerator for a missing one of its layer. */
export interface Exchange {
  layer: number;
  evicted: number;
  admitted: number;
}

/** How often each expert was chosen of late; both decay. */
export interface RecentUse {
  tokens: number;
  counts: Counts;
}

/** Milliseconds: what a call of one token takes less where an expert is resident, and what an exchange takes. */
export interface ExchangeCosts {
  saved: number;
  exchange: number;
}

/** Tokens in which an exchange must have paid. */
export const HORIZON = 512;

/** By how many standard deviations two counts must differ: less is chance, which would exchange experts back and forth. */
const CERTAINTY = 2;

/** The exchange that gains most, if it gains more over the horizon than it costs. */
export function chooseExchange(
  { tokens, counts }: RecentUse,
  resident: (layer: number, expert: number) => boolean,
  costs: ExchangeCosts,
): Exchange | undefined {
  let best: Exchange | undefined;
  let gained = 0;
  counts.forEach((of, layer) => {
    const [evicted, admitted] = extremes(of, (expert) => resident(layer, expert));
    if (evicted === undefined || admitted === undefined) return;
    const [fewer, more] = [of[evicted]!, of[admitted]!];
    if (more - fewer <= gained || more - fewer <= CERTAINTY * Math.sqrt(more + fewer)) return;
    gained = more - fewer;
    best = { layer, evicted, admitted };
  });
  return (gained / tokens) * HORIZON * costs.saved > costs.exchange ? best : undefined;
}

/** A layer's resident expert that is chosen least, and its missing one that is chosen most. */
function extremes(counts: ArrayLike<number>, resident: (expert: number) => boolean) {
  let least: number | undefined;
  let most: number | undefined;
  for (let e = 0; e < counts.length; e++) {
    if (resident(e)) {
      if (least === undefined || counts[e]! < counts[least]!) least = e;
    } else if (most === undefined || counts[e]! > counts[most]!) most = e;
  }
  return [least, most] as const;
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
