import { chooseExchange, type Exchange, exchangesOf, restoring, savedMs } from './exchange.js';
import type { Experts } from './experts.js';
import { Forecast } from './forecast.js';
import type { Demand } from './policy.js';
import type { Profile } from './profile.js';
import { MOST_DECODED } from './replay.js';
import type { ExpertsSpec } from './spec.js';
import { Trial } from './trial.js';

/** Calls between two looks at what a hit saves. */
const LOOK_EVERY = 64;
/** Share of an exchange's copies that others wait for, where they run beside everything else. */
const DISTURBANCE = 0.25;

/** Milliseconds of an exchange: until it is queued, and until its copies are done. */
interface ExchangeTimes {
  queued: number;
  done: number;
}

/**
 * Residency as a cache: missing experts that calls are likely to use come to the accelerator for less likely ones of their
 * layer, few of a layer in a call, as long as that pays. Prompts displace nothing.
 */
export class Rebalancer {
  private readonly forecast: Forecast;
  private readonly trial = new Trial();
  /** By layer, the experts that were resident when the trial began. */
  private before: ReadonlySet<number>[];
  /** By layer, whether a call that decodes has used it since its last exchange. */
  private readonly decoded: boolean[];
  private calls = 0;
  private found = { hits: 0, before: 0, exchanges: 0 };
  private saved = 0;

  private constructor(
    private readonly experts: Experts,
    private readonly layers: readonly ExpertsSpec[],
    private readonly times: ExchangeTimes,
    profile?: Profile,
  ) {
    this.forecast = new Forecast(layers.map(({ count }) => count));
    this.before = this.placement();
    this.decoded = layers.map(() => false);
    profile?.counts.forEach((counts, layer) => void this.forecast.recall(layer, counts, profile.tokens));
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
      const times = timed(experts, { layer, evicted: admitted, admitted: evicted });
      return new Rebalancer(experts, layers, times, profile);
    }
    return undefined;
  }

  private placement(): ReadonlySet<number>[] {
    return this.layers.map((_, layer) => new Set(this.experts.resident.of(layer)));
  }

  /** A layer's experts were chosen, in a call of so many tokens. */
  used(layer: number, demand: readonly Demand[], tokens: number): void {
    const { forecast, found } = this;
    const experts = demand.map(({ expert }) => expert);
    this.decoded[layer] = tokens <= MOST_DECODED;
    if (!this.decoded[layer]) {
      const shares = demand.map((each) => each.tokens / tokens);
      forecast.prompted(layer, experts, shares);
      return;
    }
    forecast.used(layer, experts);
    const was = this.before[layer]!;
    for (const { expert, resident } of demand) {
      if (resident) found.hits++;
      if (was.has(expert)) found.before++;
    }
  }

  /** Makes exchanges of a layer that is not being computed, where they pay: queued when this returns. */
  follow(layer: number): void {
    const most = exchangesOf(this.layers[layer]!.chosen);
    for (let made = 0; made < most; made++) {
      const exchange = this.choose(layer);
      if (!exchange) break;
      this.experts.exchanges.queue(exchange);
      this.found.exchanges++;
      this.experts.statistics.exchanges++;
    }
    this.decoded[layer] = false;
  }

  private choose(layer: number): Exchange | undefined {
    const { trial, forecast, saved } = this;
    const resident = this.experts.resident.names(layer);
    if (!trial.active) return trial.lost ? restoring(layer, this.before[layer]!, resident.keys()) : undefined;
    if (!this.decoded[layer] || saved <= 0) return undefined;
    return chooseExchange(layer, this.layers[layer]!.count, resident, forecast);
  }

  /** A call of so many tokens has ended. */
  afterCall(tokens: number): void {
    if (this.calls++ % LOOK_EVERY === 0) this.look();
    if (tokens > MOST_DECODED) return;
    const { queued, done } = this.times;
    const { overlap } = this.experts.costs.measured;
    const exchange = overlap ? queued + DISTURBANCE * (done - queued) : done;
    const begins = this.trial.call(this.found, { saved: this.saved, exchange });
    this.found = { hits: 0, before: 0, exchanges: 0 };
    if (begins) this.before = this.placement();
  }

  private look(): void {
    this.saved = savedMs(this.experts.policy, this.experts.costs.for(1), this.layers[0]!);
  }
}

function timed(experts: Experts, exchange: Exchange): ExchangeTimes {
  experts.wait();
  const begin = performance.now();
  experts.exchanges.queue(exchange);
  const queued = performance.now() - begin;
  experts.wait();
  return { queued, done: performance.now() - begin };
}
