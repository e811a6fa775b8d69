import { chooseExchange, type Exchange, HORIZON, savedMs } from './exchange.js';
import type { Experts } from './experts.js';
import type { Profile } from './profile.js';
import type { ExpertsSpec } from './spec.js';

/** Tokens between two looks at what was chosen. */
const LOOK_EVERY = 16;
/** After so many tokens what was chosen before counts half: as long as an exchange has to pay. */
const HALF_LIFE = HORIZON;

/** Lets residency follow use while a model runs: exchanges experts of a layer between calls, one at most a call. */
export class Rebalancer {
  /** Tokens routed to each expert of late, by layer, and tokens in all. */
  private readonly counts: Float64Array[];
  private tokens: number;
  /** What `Statistics.popularity` was at the last look. */
  private readonly seen: Uint32Array[];
  private unseen = 0;
  /** An exchange has just paid, so that another may. */
  private again = false;
  private exchangeMs: number;

  private constructor(
    private readonly experts: Experts,
    private readonly layers: readonly ExpertsSpec[],
    exchangeMs: number,
    profile?: Profile,
  ) {
    this.exchangeMs = exchangeMs;
    const { tokens, counts } = profile ?? { tokens: 0, counts: layers.map(({ count }) => new Uint32Array(count)) };
    const weight = Math.min(1, HALF_LIFE / Math.max(1, tokens));
    this.tokens = weight * tokens;
    this.counts = counts.map((layer) => Float64Array.from(layer, (n) => weight * n));
    this.seen = experts.statistics.popularity.map((layer) => layer.slice());
  }

  /**
   * Measures what an exchange takes, by one that is undone. Undefined where no layer has both resident and missing experts.
   * @param profile by which the experts were placed
   */
  static create(experts: Experts, layers: readonly ExpertsSpec[], profile?: Profile): Rebalancer | undefined {
    for (const layer of layers.keys()) {
      const [evicted] = experts.resident.of(layer);
      const [admitted] = experts.resident.missing(layer);
      if (evicted === undefined || admitted === undefined) continue;
      timed(experts, { layer, evicted, admitted });
      const ms = timed(experts, { layer, evicted: admitted, admitted: evicted });
      return new Rebalancer(experts, layers, ms, profile);
    }
    return undefined;
  }

  /** After a call of so many tokens: exchanges two experts where that pays. */
  afterCall(tokens: number): void {
    this.unseen += tokens;
    if (this.unseen < LOOK_EVERY && !this.again) return;
    this.look();
    const { experts } = this;
    const exchange = chooseExchange(
      { tokens: this.tokens, counts: this.counts },
      (layer, expert) => experts.resident.has(layer, expert),
      { saved: savedMs(experts.policy, experts.costs.measured, this.layers[0]!), exchange: this.exchangeMs },
    );
    this.again = exchange !== undefined;
    if (!exchange) return;
    this.exchangeMs = (this.exchangeMs + timed(experts, exchange)) / 2;
    experts.statistics.exchanges++;
  }

  private look(): void {
    const kept = 0.5 ** (this.unseen / HALF_LIFE);
    this.tokens = this.tokens * kept + this.unseen;
    this.counts.forEach((counts, layer) => {
      const [now, before] = [this.experts.statistics.popularity[layer]!, this.seen[layer]!];
      for (let e = 0; e < counts.length; e++) counts[e] = counts[e]! * kept + now[e]! - before[e]!;
      before.set(now);
    });
    this.unseen = 0;
  }
}

function timed(experts: Experts, exchange: Exchange): number {
  const begin = performance.now();
  experts.exchange(exchange);
  return performance.now() - begin;
}
