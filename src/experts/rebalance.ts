import { Budget } from './budget.js';
import { chooseExchange, type Exchange, exchangesOf, type Follower, restoring } from './exchange.js';
import { type ExchangeCosts, exchangeCosts } from './exchange-costs.js';
import type { Experts } from './experts.js';
import { Forecast } from './forecast.js';
import type { Demand } from './policy.js';
import type { Profile } from './profile.js';
import { MOST_DECODED } from './replay.js';
import type { ResidentExperts } from './resident-experts.js';
import type { ExpertsSpec } from './spec.js';

/** A model whose experts are exchanged. */
export interface Exchanged {
  layers: readonly Pick<ExpertsSpec, 'count' | 'chosen'>[];
  resident: Pick<ResidentExperts, 'names'>;
  /** Queues the copies of an exchange. */
  exchange(exchange: Exchange): void;
  /** Asked once a call. */
  costs(): ExchangeCosts;
}

/**
 * Residency as a cache: missing experts that calls are likely to use come to the accelerator for less likely ones of their
 * layer, few of a layer in a call, where that pays and for as long as it does. Prompts displace nothing.
 */
export class Rebalancer implements Follower {
  private readonly forecast: Forecast;
  private readonly budget = new Budget();
  /** By layer, the experts that were resident at first. */
  private readonly first: readonly ReadonlySet<number>[];
  /** By layer, whether a call that decodes has used it since exchanges of it were looked for. */
  private readonly decoded: boolean[];
  private costs: ExchangeCosts = { saved: 0, exchange: 0 };
  /** Of the call at hand: when it began, and the hits that it has beyond those of the first placement. */
  private begin = 0;
  private more = 0;

  /**
   * @param profile by which the experts were placed
   * @param now milliseconds
   */
  constructor(
    private readonly model: Exchanged,
    profile?: Profile,
    private readonly now: () => number = () => performance.now(),
  ) {
    const { layers, resident } = model;
    this.forecast = new Forecast(layers.map(({ count }) => count));
    this.first = layers.map((_, layer) => new Set(resident.names(layer).keys()));
    this.decoded = layers.map(() => false);
    profile?.counts.forEach((counts, layer) => void this.forecast.recall(layer, counts, profile.tokens));
  }

  /**
   * For a model that was loaded. Undefined where no layer has both resident and missing experts, or there is no other, which is
   * computed while they are exchanged.
   * @param profile by which the experts were placed
   */
  static create(experts: Experts, layers: readonly ExpertsSpec[], profile?: Profile): Rebalancer | undefined {
    const costs = layers.length > 1 ? exchangeCosts(experts, layers) : undefined;
    if (!costs) return undefined;
    const exchange = (found: Exchange) => {
      experts.exchanges.queue(found);
      experts.statistics.exchanges++;
    };
    return new Rebalancer({ layers, resident: experts.resident, exchange, costs }, profile);
  }

  /** A call begins. What was noted of one that did not end, since it was cancelled or failed, counts for nothing. */
  begins(): void {
    this.begin = this.now();
    this.more = 0;
  }

  /** A layer's experts were chosen, in a call of so many tokens. */
  used(layer: number, demand: readonly Demand[], tokens: number): void {
    const { forecast } = this;
    const experts = demand.map(({ expert }) => expert);
    this.decoded[layer] = tokens <= MOST_DECODED;
    if (!this.decoded[layer]) {
      const shares = demand.map((each) => each.tokens / tokens);
      forecast.prompted(layer, experts, shares);
      return;
    }
    forecast.used(layer, experts);
    const first = this.first[layer]!;
    for (const { expert, resident } of demand) this.more += Number(resident) - Number(first.has(expert));
  }

  /** Makes exchanges of a layer that is not being computed, where they pay: queued when this returns. */
  follow(layer: number): void {
    const most = exchangesOf(this.model.layers[layer]!.chosen);
    for (let made = 0; made < most; made++) {
      const exchange = this.choose(layer);
      if (!exchange) break;
      this.model.exchange(exchange);
      this.budget.pay(this.costs.exchange);
    }
    this.decoded[layer] = false;
  }

  private choose(layer: number): Exchange | undefined {
    const { budget, forecast } = this;
    const { saved, exchange } = this.costs;
    const resident = this.model.resident.names(layer);
    if (!this.decoded[layer]) return undefined;
    if (budget.lost) return restoring(layer, this.first[layer]!, resident);
    if (saved <= 0 || !budget.open) return undefined;
    return chooseExchange(layer, this.model.layers[layer]!.count, resident, forecast, exchange / saved);
  }

  /** A call of so many tokens has ended. */
  afterCall(tokens: number): void {
    if (tokens <= MOST_DECODED) {
      this.budget.call({ gained: this.more * this.costs.saved, took: this.now() - this.begin });
    }
    this.costs = this.model.costs();
  }
}
