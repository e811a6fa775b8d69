import type { Tensor } from '../native/ggml/tensor.js';
import { LearntCosts } from './adaptation.js';
import type { Routes } from './assignments.js';
import type { Follower } from './exchange.js';
import { Exchanges } from './exchanges.js';
import { Lanes } from './lanes/lanes.js';
import type { LanesParts } from './lanes/parts.js';
import { byLane, type Costs, type Demand, inPlace, type Policy, type Share, whole } from './policy.js';
import { PolicyChoice } from './policy-choice.js';
import type { ResidentExperts } from './resident-experts.js';
import type { OnSpan } from './spans.js';
import { rowsTogether } from './spec.js';
import { Statistics } from './statistics.js';
import { CallTimers, type TimedLane } from './timed-calls.js';
import type { TraceWriter } from './trace.js';

/**
 * In calls of more tokens the accelerator computes for longer than copies travel: it begins with resident experts before it
 * is decided where the others are computed. In shorter ones copies and the CPU begin first.
 */
const LONG_TOKENS = 1024;

export interface ExpertsParts extends LanesParts {
  policy: Policy;
  /** Experts are copied ahead of their layer; undefined lets the policy say so. */
  prefetch?: boolean;
}

/** What is done to copy fewer experts, or sooner; by default as it was loaded. */
export interface Caching {
  /** The expert cache, if one was asked for. */
  cache?: boolean;
  prefetch?: boolean;
}

/** A call that is part of a pass through all layers. */
interface Passing {
  timed?: TimedLane;
  /** Milliseconds for which the link is still busy with copies for its plan. */
  backlog: number;
  /** See `run`; and notes what was chosen. */
  meanwhile: (arrives?: Tensor) => void;
}

/** The routed experts of a model: decides where each is computed, has the lanes compute them, and learns from it. */
export class Experts {
  readonly costs = new LearntCosts();
  readonly statistics: Statistics;
  policy!: Policy;
  /** Writes down what is chosen, while there is one. */
  trace?: TraceWriter;
  /** Lets what is resident follow use. */
  follower?: Follower;
  /** Exchanges resident experts for missing ones. */
  readonly exchanges: Exchanges;
  private readonly lanes: Lanes;
  /** Bytes of one expert of each layer. */
  private readonly bytes: readonly number[];
  private readonly choice: PolicyChoice;
  private readonly timers: CallTimers;
  private last?: { routes: Routes; plan: readonly Share[] };
  /** What the layer before streamed, until copies for the next were queued. */
  private streamed?: { routes: Routes; shares: readonly Share[] };

  constructor(private readonly parts: ExpertsParts) {
    const { layers } = parts;
    this.statistics = new Statistics(layers.map((l) => l.count));
    this.bytes = layers.map((_, l) => parts.host.expertBytes(l));
    this.lanes = new Lanes(parts, this.statistics);
    this.timers = new CallTimers(this.lanes.overlaps);
    this.choice = new PolicyChoice(layers.length);
    this.exchanges = new Exchanges(parts, this.lanes);
    this.use(parts.policy);
  }

  /** Makes room on the devices for an expert's graph with as many tokens as a call can have. */
  reserve(): void {
    this.lanes.reserve();
  }

  /** Says which experts are resident, once it is known how much room there is for them. */
  place(resident: ResidentExperts): void {
    this.lanes.place(resident);
  }

  get resident(): ResidentExperts {
    return this.lanes.resident;
  }

  /**
   * Adds each token's routed experts to the output, but for what `arrived` then gives; the accelerator may still be
   * computing when this returns.
   * @param meanwhile called while the lanes compute, with what `arrived` will give
   */
  run(routes: Routes, meanwhile?: (arrives: Tensor | undefined) => void): void {
    const { layer, tokens } = routes;
    const { stream } = this.lanes;
    const backlog = stream?.begin(tokens) ?? 0;
    const demand = this.demand(routes, (e) => stream?.has(layer, e) === true);
    const timed = this.timers.next(layer, tokens);
    const decides = this.decides;
    const compares = decides && this.overlaps;
    if (tokens > LONG_TOKENS && !timed && compares) this.queueResidents(layer, demand, tokens);
    const costs = this.costs.for(tokens, backlog);
    const policy = compares ? this.choice.of(this.policy, layer, tokens) : this.policy;
    const plan = decides ? this.decide(policy, demand, costs, layer) : inPlace(demand);
    const beside = (arrives?: Tensor) => {
      meanwhile?.(arrives);
      this.note(routes, demand);
    };
    this.execute(routes, plan, { timed, backlog, meanwhile: beside });
    if (compares) this.choice.done(layer);
  }

  /** Notes what was chosen, while the lanes compute it. */
  private note(routes: Routes, demand: readonly Demand[]): void {
    const { layer, tokens } = routes;
    for (const each of demand) this.statistics.chosen(layer, each.expert, each.tokens);
    this.lanes.stream?.used(layer, demand, tokens);
    this.follower?.used(layer, demand, tokens);
    this.trace?.routed(routes);
  }

  /**
   * The policy decides; else each expert is computed where its weights are. Slots are left out where every expert was to be
   * resident, or none can be: if some are missing after all, nothing can be streamed.
   */
  get decides(): boolean {
    return this.offloads && (this.lanes.stream !== undefined || !this.policy.streams);
  }

  /**
   * Queues copies of experts that the layer at hand will surely choose, and of one that is to be resident; called once it is
   * queued, behind the CPU's sums, which it begins with: copies to the accelerator take turns.
   */
  copyAhead(): void {
    if (this.streamed) {
      const { routes, shares } = this.streamed;
      this.streamed = undefined;
      this.lanes.stream?.copyAhead(routes, shares, this.costs.for(routes.tokens).copy);
    }
    // What the accelerator may still compute is of the last layer.
    if (this.last) this.follower?.follow((this.last.routes.layer + this.bytes.length - 1) % this.bytes.length);
  }

  private queueResidents(layer: number, demand: readonly Demand[], tokens: number): void {
    const resident = demand.filter((d) => d.resident).map((d) => whole(d, 'resident'));
    if (resident.length > 0) this.lanes.queueResidents(layer, resident, tokens);
  }

  private decide(policy: Policy, demand: readonly Demand[], costs: Costs, layer: number): Share[] {
    return policy.decide(demand, costs, this.width(layer), rowsTogether(this.parts.host.typesOf(layer)));
  }

  /** Bytes of one expert of a layer in the computed types. */
  bytesOf(layer: number): number {
    return this.bytes[layer]!;
  }

  /** A layer's chosen experts, grouped for the lanes. */
  private demand(routes: Routes, isCached?: (expert: number) => boolean): readonly Demand[] {
    return this.lanes.assignments.group(routes, (e) => this.resident.has(routes.layer, e), isCached);
  }

  /** Inner rows of an expert. */
  private width(layer: number): number {
    return this.parts.layers[layer]!.width;
  }

  /**
   * What the CPU computed for the output and the caller must add to it [chunk, hidden], first of all that it
   * computes; undefined where there is nothing.
   */
  arrived(): Tensor | undefined {
    return this.lanes.arrived();
  }

  /** Queues what the caller of `arrived` would have to add: no layer follows. */
  settle(): void {
    this.streamed = undefined;
    this.lanes.settle();
  }

  /** Decides by another policy from now on, with the slots that it has where it is loaded alone. */
  use(policy: Policy, { cache = true, prefetch = this.parts.prefetch ?? policy.prefetches }: Caching = {}): void {
    this.policy = policy;
    this.costs.use(policy.name);
    this.lanes.stream?.use(cache, prefetch === true);
  }

  /** Guesses of the next layer's experts are of use. */
  get prefetches(): boolean {
    return this.lanes.stream?.prefetches === true;
  }

  /** What was computed so far counts for nothing. */
  forgetCalls(): void {
    this.statistics.forget();
    this.costs.forget();
    this.choice.forget();
    this.timers.forget();
  }

  /** Runs a plan for routes, for measurements: without one, each expert where its weights are. @returns what was run */
  measure(routes: Routes, plan?: readonly Share[]): readonly Share[] {
    this.lanes.stream?.begin(routes.tokens);
    const demand = this.demand(routes);
    const run = plan ?? inPlace(demand);
    this.execute(routes, run);
    this.settle();
    return run;
  }

  /** Repeats the last call's work, which adds its results once more. @returns milliseconds until every lane is done */
  replay(): number {
    const { routes, plan } = this.last!;
    this.wait();
    const begin = performance.now();
    this.execute(routes, plan);
    this.settle();
    this.wait();
    return performance.now() - begin;
  }

  /** Repeats the last call's work piece by piece, lane after lane. */
  record(onSpan: OnSpan): void {
    const { routes, plan } = this.last!;
    this.lanes.record(routes, byLane(plan), onSpan);
  }

  /**
   * @param passing missing where the call is made up or a repetition, so that no other layer follows
   */
  private execute(routes: Routes, plan: readonly Share[], passing?: Passing): void {
    this.last = { routes, plan };
    const { layer, tokens } = routes;
    const division = byLane(plan);
    const timed = passing ? passing.timed : this.timers.next(layer, tokens);
    const times = this.lanes.run(routes, division, timed, passing?.meanwhile);
    this.costs.planned(division, tokens);
    if (times.timed) this.costs.learn(division, this.width(layer), tokens, times.timed, passing?.backlog);
    if (passing) this.streamed = { routes, shares: division.streamed };
    this.statistics.ran(division, this.width(layer), this.bytes[layer]!, times.lanes);
  }

  /** The native kernels compute the CPU lane. */
  get native(): boolean {
    return this.parts.pool !== undefined;
  }

  /** Name of the kernels that compute the CPU lane. */
  get kernels(): string {
    return this.lanes.kernels;
  }

  /** Some experts may be on another device than the CPU. */
  get offloads(): boolean {
    return this.lanes.offloads;
  }

  /** The accelerator computes and copies while the CPU computes. */
  get overlaps(): boolean {
    return this.lanes.overlaps;
  }

  /** Returns once the accelerator has nothing left to do. */
  wait(): void {
    this.lanes.wait();
  }

  /** Ends the native kernels' threads, and returns once the accelerator has nothing left to do. */
  end(): void {
    this.parts.pool?.pool.close();
    this.wait();
  }

  /**
   * After an error in a call, or between calls: the lanes are joined, and an exchange that was begun is undone. Graphs of
   * both devices are gone.
   * @throws FiddlerError where that fails: the experts are then of no use
   */
  recover(): void {
    this.last = undefined;
    this.streamed = undefined;
    this.lanes.recover();
    this.exchanges.recover();
    this.wait();
  }
}
