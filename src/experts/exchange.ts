import type { Counts } from './placement.js';
import { type Costs, type Policy, partOf } from './policy.js';

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

/** Milliseconds: of an expert that is missing or resident, in a call of one token, and of an exchange. */
export interface ExchangeCosts {
  missing: number;
  resident: number;
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
  const saved = (gained / tokens) * HORIZON * (costs.missing - costs.resident);
  return saved > costs.exchange ? best : undefined;
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

/** What a missing expert takes where a policy has it computed, in a call of one token. @param width its inner rows */
export function missingMs(policy: Policy, costs: Costs, width: number): number {
  const shares = policy.decide([{ expert: 0, tokens: 1, resident: false, cached: false }], costs, width);
  const part = (lane: 'cpu' | 'streamed') =>
    shares.filter((share) => share.lane === lane).reduce((sum, share) => sum + partOf(share, width), 0);
  const cpu = part('cpu') * costs.cpu(1);
  const streamed = part('streamed') * (costs.copy + costs.accelerator(1));
  return costs.overlap ? Math.max(cpu, streamed) : cpu + streamed;
}
