import { behind } from '../experts/costs.js';
import { copiedAhead, surelyNeeded } from '../experts/lanes/ahead.js';
import { SlotCache } from '../experts/lanes/cache.js';
import { STREAM_SLOTS } from '../experts/lanes/slots.js';
import type { Placement } from '../experts/placement.js';
import { laneTimes, makespan } from '../experts/policies/lanes.js';
import type { Costs, Demand, Policy, Share } from '../experts/policy.js';
import type { ExpertsSpec } from '../experts/spec.js';
import { GUESS_RECALL } from '../models/router-random.js';
import type { Limit } from './options.js';
import { Random } from './random.js';
import { FIRST_PROMPT, type Pace, withoutExperts } from './rates.js';
import { Traffic } from './traffic.js';

/** Tokens decoded in a prediction, after as many that only fill the cache. */
const STEPS = 48;
const SEED = 20240210;
/** What the model of costs leaves out, relative to the whole. */
const MODEL_ERROR = 0.1;

/** Milliseconds of one call, or of a prompt's. */
export interface Prediction {
  ms: number;
  /** Give or take: what repeated measurements and random routing differ by, and what the model leaves out. */
  error: number;
  /** Of `ms`: all but routed experts; the rest is waiting for them. */
  others: number;
  limit: Limit;
  /** Share of expert executions that find their weights on the accelerator. */
  hitRate: number;
}

/** A model on a machine, as far as its speed depends on it. */
export interface Scenario {
  pace: Pace;
  /** The layers with routed experts, and the number of those without. */
  layers: readonly ExpertsSpec[];
  denseLayers: number;
  /** How many of both are an encoder's, which a prompt passes and no decoded token; the first of `layers` are its own. */
  encoder?: { sparse: number; dense: number };
  placement: Placement;
  policy: Policy;
  /** Nothing is offloaded: every expert is computed on the CPU. */
  inPlace: boolean;
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
interface Spent {
  ms: number;
  by: Record<Limit, number>;
  hits: number;
  executions: number;
}

/** Predicts decoding of one token behind `past` others. */
export function predictDecode(scenario: Scenario, past: number): Prediction {
  const run = new Simulation(scenario, scenario.slots.one);
  const { pace } = scenario;
  const { decoder } = partsOf(scenario);
  const others = run.others(decoder, 1, past) + pace.head;
  for (let i = 0; i < STEPS; i++) run.experts(decoder, 1, past);
  const steps = Array.from({ length: STEPS }, () => run.experts(decoder, 1, past));
  const spent = sum(steps);
  const mean = spent.ms / STEPS;
  const variance = steps.reduce((total, { ms }) => total + (ms - mean) ** 2, 0) / STEPS;
  return conclude(pace, others, { ...spent, ms: mean, by: scaled(spent.by, 1 / STEPS) }, Math.sqrt(variance / STEPS));
}

/** Predicts a prompt of `tokens` from an empty KV cache to the first token's logits. */
export function predictPrefill(scenario: Scenario, tokens: number): Prediction {
  const run = new Simulation(scenario, tokens > 1 ? scenario.slots.several : scenario.slots.one);
  const { pace, chunk, fresh } = scenario;
  let others = pace.head + (fresh ? pace.first * Math.min(1, tokens / FIRST_PROMPT) : 0);
  const calls: Spent[] = [];
  const call = (part: Part, count: number, past: number) => {
    others += run.others(part, count, past);
    calls.push(run.experts(part, count, past));
  };
  const { encoder, decoder } = partsOf(scenario);
  if (encoder) {
    call(encoder, tokens, 0);
    call(decoder, 1, 0);
  } else for (let past = 0; past < tokens; past += chunk) call(decoder, Math.min(chunk, tokens - past), past);
  return conclude(pace, others, sum(calls), 0);
}

/** Layers through which a call passes: of those with routed experts a range, and how many without. */
interface Part {
  from: number;
  to: number;
  dense: number;
}

function partsOf({ layers, denseLayers, encoder }: Scenario): { encoder?: Part; decoder: Part } {
  const { sparse, dense } = encoder ?? { sparse: 0, dense: 0 };
  const decoder = { from: sparse, to: layers.length, dense: denseLayers - dense };
  return encoder ? { encoder: { from: 0, to: sparse, dense }, decoder } : { decoder };
}

function conclude({ spread }: Pace, others: number, spent: Spent, deviation: number): Prediction {
  const ms = others + spent.ms;
  const by = { ...spent.by, accelerator: spent.by.accelerator + others };
  const limit = (Object.keys(by) as Limit[]).reduce((a, b) => (by[b] > by[a] ? b : a));
  const error = Math.hypot(ms * spread, ms * MODEL_ERROR, deviation);
  return { ms, error, others, limit, hitRate: spent.executions === 0 ? 0 : spent.hits / spent.executions };
}

function sum(all: readonly Spent[]): Spent {
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

function scaled(by: Record<Limit, number>, factor: number): Record<Limit, number> {
  return Object.fromEntries(Object.entries(by).map(([k, ms]) => [k, ms * factor])) as Record<Limit, number>;
}

/** Runs calls of a model by its costs alone: routes are drawn, the policy decides, and the slots are its real cache. */
class Simulation {
  private readonly traffic: Traffic;
  private readonly guesses = Random.fromSeed(SEED + 1);
  private readonly resident: readonly ReadonlySet<number>[];
  private readonly cache?: SlotCache;
  /** Milliseconds of copies ahead that are not over yet. */
  private backlog = 0;

  constructor(
    private readonly scenario: Scenario,
    slots: number,
  ) {
    const { layers, popularity, placement, policy } = scenario;
    this.traffic = new Traffic(layers, popularity, SEED);
    this.resident = placement.map((experts) => new Set(experts));
    if (policy.streams && slots >= STREAM_SLOTS) this.cache = new SlotCache(slots, STREAM_SLOTS);
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
      const { spent, streamed } = this.layer(layer, routed);
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
  private layer(layer: number, routed: Float64Array): { spent: Spent; streamed: number } {
    const { inPlace, policy, pace } = this.scenario;
    const { width } = this.scenario.layers[layer]!;
    const demand: Demand[] = [];
    routed.forEach((tokens, expert) => {
      if (tokens === 0) return;
      const cached = this.cache?.has(this.key(layer, expert)) === true;
      demand.push({ expert, tokens, resident: this.resident[layer]!.has(expert), cached });
    });
    const costs = behind(pace.costs, this.backlog);
    const plan = inPlace ? demand.map(onCpu) : policy.decide(demand, costs, width);
    const hits = plan.filter((share) => share.lane === 'resident' || share.cached).length;
    this.remember(layer, plan);
    const streamed = plan.filter(({ lane, range }) => lane === 'streamed' && !range).length;
    const ms = makespan(plan, costs, width);
    return { spent: { ms, by: this.spentOn(plan, costs, width, ms), hits, executions: demand.length }, streamed };
  }

  /** What is streamed stays in its slot, as in the engine. */
  private remember(layer: number, plan: readonly Share[]): void {
    for (const { lane, expert, cached, range } of plan) {
      if (lane !== 'streamed' || !this.cache) continue;
      const key = this.key(layer, expert);
      const slot =
        (cached ? this.cache.find(key) : undefined) ?? this.cache.take(range || this.cache.has(key) ? undefined : key);
      if (slot !== undefined) this.cache.release(slot);
    }
  }

  /** Copies what the next layer needs whatever its router says, as many as this one streamed. @returns milliseconds of copies */
  private sure(layer: number, tokens: number, streamed: number): number {
    const { layers, pace, inPlace, popularity } = this.scenario;
    const { cache } = this;
    if (inPlace || !cache || !pace.costs.overlap) return 0;
    const missing = (expert: number) => !this.resident[layer]!.has(expert);
    const needed = surelyNeeded(layers[layer]!, tokens, popularity?.[layer], missing);
    const copied = copiedAhead(needed, streamed, cache.size).filter((expert) => {
      const key = this.key(layer, expert);
      const found = cache.find(key);
      cache.release(found ?? cache.take(key)!);
      return found === undefined;
    });
    return copied.length * pace.costs.copy;
  }

  /** Copies what the next layer will probably choose. @returns milliseconds where copies do not run beside other work */
  private ahead(layer: number, next: Float64Array): number {
    const { costs } = this.scenario.pace;
    let copied = 0;
    next.forEach((tokens, expert) => {
      if (tokens === 0) return;
      const right = this.guesses.nextDouble() < GUESS_RECALL;
      const guess = right ? expert : Math.floor(this.guesses.nextDouble() * next.length);
      const key = this.key(layer, guess);
      if (this.resident[layer]!.has(guess) || !this.cache || this.cache.has(key)) return;
      const slot = this.cache.take(key);
      if (slot === undefined) return;
      this.cache.release(slot);
      copied++;
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

function onCpu({ expert, tokens }: Demand): Share {
  return { expert, tokens, lane: 'cpu' };
}
