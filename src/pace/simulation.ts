import { behind, inCallOf, laneTimes, makespan } from '../experts/costs.js';
import { copiedAhead, surelyNeeded } from '../experts/lanes/ahead.js';
import { STREAM_SLOTS, StreamCache } from '../experts/lanes/stream-cache.js';
import type { Placement } from '../experts/placement.js';
import { byLane, type Costs, type Demand, inPlace, type Policy, type Share } from '../experts/policy.js';
import type { ExpertsSpec } from '../experts/spec.js';
import { GUESS_RECALL } from '../models/router-random.js';
import type { Limit } from '../report.js';
import { Random } from '../sampling/random.js';
import { type Pace, withoutExperts } from './rates.js';
import { Traffic } from './traffic.js';

const SEED = 20240210;

/** A model on a machine, as far as its speed depends on it. */
export interface Scenario {
  pace: Pace;
  /** The layers with routed experts, and the number of those without. */
  layers: readonly ExpertsSpec[];
  /** At multiples of so many rows an expert of each layer is divided. */
  together: readonly number[];
  denseLayers: number;
  /** How many of both are an encoder's, which a prompt passes and no decoded token; the first of `layers` are its own. */
  encoder?: { sparse: number; dense: number };
  placement: Placement;
  policy: Policy;
  /** It decides; else every expert is computed where its weights are. */
  decides: boolean;
  /** Experts that the accelerator has room for beside the resident ones, in calls of one token and of several. */
  slots: { one: number; several: number };
  prefetch: boolean;
  /** Most tokens of a call. */
  chunk: number;
  /** The process has not answered yet. */
  fresh: boolean;
  popularity?: readonly ArrayLike<number>[];
}

/** Time by what it was spent on, summed over layers. */
export interface Spent {
  ms: number;
  by: Record<Limit, number>;
  hits: number;
  executions: number;
}

/** Layers through which a call passes: of those with routed experts a range, and how many without. */
export interface Part {
  from: number;
  to: number;
  dense: number;
}

export function sum(all: readonly Spent[]): Spent {
  const total = nothing();
  for (const { ms, by, hits, executions } of all) {
    total.ms += ms;
    total.hits += hits;
    total.executions += executions;
    for (const limit of Object.keys(by) as Limit[]) total.by[limit] += by[limit];
  }
  return total;
}

function nothing(): Spent {
  return { ms: 0, by: { memory: 0, compute: 0, link: 0, accelerator: 0 }, hits: 0, executions: 0 };
}

/** Runs calls of a model by its costs alone: routes are drawn, and policy and cache decide as in the engine. */
export class Simulation {
  private readonly traffic: Traffic;
  private readonly guesses = Random.fromSeed(SEED + 1);
  private readonly resident: readonly ReadonlySet<number>[];
  private readonly cache?: StreamCache;
  /** Milliseconds of copies ahead that are not over yet. */
  private backlog = 0;

  constructor(
    private readonly scenario: Scenario,
    slots: number,
  ) {
    const { layers, popularity, placement, policy } = scenario;
    this.traffic = new Traffic(layers, popularity, SEED);
    this.resident = placement.map((experts) => new Set(experts));
    if (policy.streams && slots >= STREAM_SLOTS) this.cache = new StreamCache(slots);
  }

  /** A call's milliseconds beside routed experts and the head. */
  others({ from, to, dense }: Part, tokens: number, past: number): number {
    return withoutExperts(this.scenario.pace, { sparse: to - from, dense }, tokens, past);
  }

  /** The routed experts of a call. */
  experts({ from, to }: Part, tokens: number, past: number): Spent {
    const { pace, prefetch } = this.scenario;
    const total = nothing();
    if (from === to) return total;
    let routed = this.traffic.draw(from, tokens);
    for (let layer = from; layer < to; layer++) {
      const next = layer + 1 < to ? this.traffic.draw(layer + 1, tokens) : undefined;
      const { spent, streamed } = this.layer(layer, routed, tokens);
      let late = 0;
      if (prefetch && next && tokens === 1) {
        spent.ms += this.ahead(layer + 1, next);
        late = Math.max(0, this.backlog - spent.ms - pace.sparse(tokens, past));
        this.backlog = 0;
      } else this.backlog = next ? Math.max(0, this.sure(layer + 1, tokens, streamed) - pace.sparse(tokens, past)) : 0;
      total.ms += spent.ms + late;
      total.by.link += late;
      total.hits += spent.hits;
      total.executions += spent.executions;
      for (const limit of Object.keys(spent.by) as Limit[]) total.by[limit] += spent.by[limit];
      routed = next ?? routed;
    }
    return total;
  }

  private key(layer: number, expert: number): number {
    return layer * 1e6 + expert;
  }

  /** @returns what it takes, and the experts that were streamed whole */
  private layer(layer: number, routed: Float64Array, tokens: number): { spent: Spent; streamed: number } {
    const { decides, policy, pace, layers, together } = this.scenario;
    const { width } = layers[layer]!;
    const demand: Demand[] = [];
    routed.forEach((assigned, expert) => {
      if (assigned === 0) return;
      const cached = this.cache?.has(this.key(layer, expert)) === true;
      demand.push({ expert, tokens: assigned, resident: this.resident[layer]!.has(expert), cached });
    });
    const costs = behind(inCallOf(pace.costs, tokens), this.backlog);
    const plan = decides ? policy.decide(demand, costs, width, together[layer]) : inPlace(demand);
    const hits = plan.filter((share) => share.lane === 'resident' || share.cached).length;
    const { streamed } = byLane(plan);
    for (const share of streamed) this.cache?.release(this.cache.serve(this.key(layer, share.expert), share).slot);
    this.cache?.settle();
    const whole = streamed.filter(({ range }) => !range).length;
    const ms = makespan(plan, costs, width);
    return {
      spent: { ms, by: this.spentOn(plan, costs, width, ms), hits, executions: demand.length },
      streamed: whole,
    };
  }

  /** Copies what the next layer needs whatever its router says, as many as this one streamed. @returns milliseconds of copies */
  private sure(layer: number, tokens: number, streamed: number): number {
    const { layers, pace, decides, popularity } = this.scenario;
    const { cache } = this;
    if (!decides || !cache || !pace.costs.overlap) return 0;
    const missing = (expert: number) => !this.resident[layer]!.has(expert);
    const needed = surelyNeeded(layers[layer]!, tokens, popularity?.[layer], missing);
    const wanted = copiedAhead(needed, streamed, cache.size);
    const slots = cache.needAll(wanted.map((expert) => this.key(layer, expert)));
    return slots.filter((slot) => slot !== undefined).length * inCallOf(pace.costs, tokens).copy;
  }

  /** Copies what the next layer will probably choose. @returns milliseconds where copies do not run beside other work */
  private ahead(layer: number, next: Float64Array): number {
    const { costs } = this.scenario.pace;
    let copied = 0;
    next.forEach((tokens, expert) => {
      if (tokens === 0) return;
      const right = this.guesses.nextDouble() < GUESS_RECALL;
      const guess = right ? expert : Math.floor(this.guesses.nextDouble() * next.length);
      if (this.resident[layer]!.has(guess)) return;
      if (this.cache?.guess(this.key(layer, guess)) !== undefined) copied++;
    });
    if (!costs.overlap) return copied * costs.copy;
    this.backlog += copied * costs.copy;
    return 0;
  }

  /** A plan's time, the whole, by what it waits for: the lanes that run at once share it by their own times. */
  private spentOn(plan: readonly Share[], costs: Costs, width: number, whole: number): Record<Limit, number> {
    const { cpu, copies, streamed, resident } = laneTimes(plan, costs, width);
    const spent = nothing().by;
    const accelerator = streamed + resident;
    if (!costs.overlap) {
      spent.link = copies;
      spent.accelerator = accelerator;
    } else if (copies >= accelerator && copies * costs.contention.copy >= cpu) spent.link = whole;
    else if (accelerator >= cpu) spent.accelerator = whole;
    const left = whole - spent.link - spent.accelerator;
    if (left > 0) spent[this.boundBy(plan)] += left;
    return spent;
  }

  /** Reading weights takes as long for one token as for few; where more tokens take longer, arithmetic does. */
  private boundBy(plan: readonly Share[]): 'memory' | 'compute' {
    const { costs } = this.scenario.pace;
    const shares = plan.filter(({ lane }) => lane === 'cpu');
    const tokens = shares.reduce((total, share) => total + share.tokens, 0) / Math.max(1, shares.length);
    return costs.cpu(tokens) > 2 * costs.cpu(1) ? 'compute' : 'memory';
  }
}
