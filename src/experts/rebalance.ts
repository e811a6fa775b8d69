import { WINDOW } from './caches/lfru.js';
import { chooseExchange, type Exchange, restoring, savedMs } from './exchange.js';
import type { Experts } from './experts.js';
import type { Demand } from './policy.js';
import type { Profile } from './profile.js';
import { RecentUse } from './recent-use.js';
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
 * Residency as a cache: experts that calls use, and that are missing, come to the accelerator for those of their layer that
 * were used less for their age, one of a layer in a call, as long as that pays. Prompts displace nothing.
 */
export class Rebalancer {
  private readonly use: RecentUse;
  private readonly trial = new Trial();
  /** By layer, the experts that were resident when the trial began. */
  private before: ReadonlySet<number>[];
  /** Missing experts of each layer that the last call used, not for the first time. */
  private readonly wanted: number[][];
  private time = 1;
  private found = { hits: 0, before: 0, exchanges: 0 };
  private saved = 0;

  private constructor(
    private readonly experts: Experts,
    private readonly layers: readonly ExpertsSpec[],
    private readonly times: ExchangeTimes,
    profile?: Profile,
  ) {
    this.use = new RecentUse(layers.map(({ count }) => count));
    this.before = this.placement();
    this.wanted = layers.map(() => []);
    // What was chosen before counts as if it were one call's.
    profile?.counts.forEach((counts, layer) => {
      const most = Math.max(1, ...Array.from(counts));
      Array.from(counts).forEach((n, expert) => {
        if (n > 0) this.use.note(layer, expert, 0, n / most);
      });
    });
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
    const { use, time, found, wanted } = this;
    const [was, missed] = [this.before[layer]!, wanted[layer]!];
    missed.length = 0;
    if (tokens > MOST_DECODED) {
      for (const { expert, tokens: of } of demand) use.note(layer, expert, time, of / tokens);
      return;
    }
    for (const { expert, resident } of demand) {
      const again = use.note(layer, expert, time) <= WINDOW;
      if (resident) found.hits++;
      else if (again) missed.push(expert);
      if (was.has(expert)) found.before++;
    }
  }

  /** Makes an exchange of a layer that is not being computed, where one pays: queued when this returns. */
  follow(layer: number): void {
    const exchange = this.choose(layer);
    this.wanted[layer]!.length = 0;
    if (!exchange) return;
    this.experts.exchanges.queue(exchange);
    this.found.exchanges++;
    this.experts.statistics.exchanges++;
  }

  private choose(layer: number): Exchange | undefined {
    const { experts, trial, use, time, saved } = this;
    const [missed, resident] = [this.wanted[layer]!, experts.resident.names(layer)];
    if (trial.active) return saved > 0 ? chooseExchange(layer, missed, resident, use, time) : undefined;
    return trial.lost ? restoring(layer, this.before[layer]!, resident) : undefined; // where they were
  }

  /** A call of so many tokens has ended. */
  afterCall(tokens: number): void {
    if (this.time++ % LOOK_EVERY === 1) this.look();
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
