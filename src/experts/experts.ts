import type { Device, HostMemory } from '../devices/device.js';
import type { Tensor } from '../ggml/tensor.js';
import { type LaneTimes, LearntCosts } from './adaptation.js';
import { Assignments, type Routes } from './assignments.js';
import type { Exchange } from './exchange.js';
import { buildForRows, EXPERT_GRAPH_CAPACITY, type PlacedExpert } from './expert.js';
import type { HostExperts } from './host-experts.js';
import { RoutingInputs } from './io.js';
import { ExpertCompute } from './lanes/compute.js';
import { type CpuExperts, GgmlExperts } from './lanes/cpu.js';
import { NativeExperts, type NativePool } from './lanes/native.js';
import type { StreamSlots } from './lanes/slots.js';
import { StreamLane } from './lanes/stream.js';
import { CpuSums } from './lanes/sums.js';
import { type Demand, LANES, type LaneName, type Policy, partOf, type Share } from './policy.js';
import type { ResidentExperts } from './resident-experts.js';
import type { OnSpan, SpanLane } from './spans.js';
import type { ExpertsSpec } from './spec.js';
import { Statistics } from './statistics.js';

/** Lanes that run beside each other are timed at every n-th call only, since that takes a synchronisation. */
const TIMED_CALLS = 8;
/** A synchronisation that finds nothing to wait for takes less. */
const SYNCHRONISE_MS = 0.05;

export interface ExpertsParts {
  cpu: Device;
  /** The same as `cpu` where nothing is offloaded. */
  accelerator: Device;
  layers: readonly ExpertsSpec[];
  /** Most tokens of a call. */
  chunk: number;
  /** Hidden states on the accelerator [chunk, hidden] (PyTorch's order), to which experts add their results. */
  hidden: Tensor;
  /** Their normalised form, which experts read: on the accelerator, and its copy in the host's memory. */
  input: Tensor;
  hostInput: Tensor;
  host: HostExperts;
  slots?: StreamSlots;
  /** Of these slots, those that are the expert cache. */
  cached: number;
  /** Experts are copied ahead of their layer; undefined lets the policy say so. */
  prefetch?: boolean;
  /** Native CPU kernels and their threads, where they compute these experts; else ggml's kernels do. */
  pool?: NativePool;
  policy: Policy;
  /** The host's memory that the accelerator copies from and to. */
  hostMemory: HostMemory;
}

/** What is done to copy fewer experts, or sooner; by default as it was loaded. */
export interface Caching {
  /** The expert cache, if one was asked for. */
  cache?: boolean;
  prefetch?: boolean;
}

/** The routed experts of a model: decides where each is computed, runs the three lanes at once, and adds up. */
export class Experts {
  readonly costs = new LearntCosts();
  policy!: Policy;
  /** Set once it is known how much room there is for them. */
  resident!: ResidentExperts;
  readonly statistics: Statistics;
  private readonly assignments: Assignments;
  private readonly forCpu: RoutingInputs;
  private readonly forAccelerator: RoutingInputs;
  private readonly sums?: CpuSums;
  private readonly onAccelerator: ExpertCompute;
  private readonly onCpu: CpuExperts;
  /** Where ggml's kernels compute the CPU lane. */
  private readonly cpuGraphs?: ExpertCompute;
  /** In a call of one token, the place of the first streamed expert's weight: behind those of all experts. */
  private readonly streamedPlaces: number;
  /** The accelerator computes and copies while the CPU computes. */
  readonly overlaps: boolean;
  /** Bytes of one expert of each layer. */
  private readonly bytes: readonly number[];
  /** Missing where nothing is streamed. */
  private readonly stream?: StreamLane;
  private calls = 0;
  private last?: { routes: Routes; plan: readonly Share[] };

  constructor(private readonly parts: ExpertsParts) {
    const { cpu, accelerator, layers, chunk, hidden, input, hostInput, hostMemory } = parts;
    const count = Math.max(...layers.map((l) => l.count));
    const chosen = Math.max(...layers.map((l) => l.chosen));
    const capacity = chunk * chosen;
    this.streamedPlaces = count;
    this.assignments = new Assignments(count, capacity);
    this.bytes = layers.map((_, l) => parts.host.expertBytes(l));
    this.statistics = new Statistics(layers.map((l) => l.count));
    const inputsOf = (device: Device) => new RoutingInputs(device, capacity, count + chosen, hostMemory);
    this.forCpu = inputsOf(cpu);
    this.forAccelerator = accelerator === cpu ? this.forCpu : inputsOf(accelerator);
    this.overlaps = accelerator.copies !== accelerator.compute;
    if (accelerator !== cpu) this.sums = new CpuSums(accelerator, hidden, hostMemory);
    const io = ({ rows, weights }: RoutingInputs) => ({ rows, weights });
    this.onAccelerator = new ExpertCompute(accelerator, { input, output: hidden, ...io(this.forAccelerator) });
    const output = this.sums?.host ?? hidden;
    const { host, pool } = parts;
    if (pool)
      this.onCpu = new NativeExperts(pool, host, layers, host.typeOf(0), hostInput, output, this.sums !== undefined);
    else {
      this.cpuGraphs = new ExpertCompute(cpu, { input: hostInput, output, ...io(this.forCpu) });
      this.onCpu = new GgmlExperts(this.cpuGraphs, host, layers);
    }
    this.stream = this.streamLane();
    this.use(parts.policy);
  }

  private streamLane(): StreamLane | undefined {
    const { layers, host, slots, cached } = this.parts;
    if (!slots) return undefined;
    const { onAccelerator: compute, streamedPlaces: firstPlace, assignments, statistics, overlaps } = this;
    const isResident = (layer: number, expert: number) => this.resident.has(layer, expert);
    const parts = { layers, host, slots, cached, compute, firstPlace, assignments, statistics, overlaps, isResident };
    return new StreamLane(parts);
  }

  /** Makes room on the devices for an expert's graph with as many tokens as a call can have. */
  reserve(): void {
    const { layers, host, chunk } = this.parts;
    for (const compute of [this.onAccelerator, this.cpuGraphs]) {
      compute?.device.reserve(EXPERT_GRAPH_CAPACITY, (g) =>
        buildForRows(g, host.expert(0, 0), layers[0]!.activation, compute.io, 0, chunk),
      );
    }
  }

  /**
   * Adds each token's routed experts to the hidden states, but for what `arrived` then gives; the accelerator may still be
   * computing when this returns.
   */
  run(routes: Routes): void {
    const { layer, tokens } = routes;
    const backlog = this.stream?.begin(tokens) ?? 0;
    const cached = (e: number) => this.stream?.has(layer, e) === true;
    const demand = this.assignments.group(routes, (e) => this.resident.has(layer, e), cached);
    for (const each of demand) this.statistics.chosen(layer, each.expert, each.tokens);
    // Slots are left out where every expert was to be resident; if some do not fit after all, nothing can be streamed.
    const decides = this.sums !== undefined && (this.stream !== undefined || !this.policy.streams);
    const { width } = this.parts.layers[layer]!;
    const costs = this.costs.for(tokens, backlog);
    this.execute(routes, decides ? this.policy.decide(demand, costs, width) : inPlace(demand), backlog);
  }

  /**
   * What the CPU computed for the hidden states and the caller must add to them [chunk, hidden], first of all that it
   * computes; undefined where there is nothing.
   */
  arrived(): Tensor | undefined {
    return this.sums?.take();
  }

  /** Queues what the caller of `arrived` would have to add. */
  settle(): void {
    this.sums?.settle();
  }

  /** Decides by another policy from now on, with the slots that it has where it is loaded alone. */
  use(policy: Policy, { cache = true, prefetch = this.parts.prefetch ?? policy.prefetches }: Caching = {}): void {
    this.policy = policy;
    this.stream?.use(cache, prefetch === true);
  }

  /** Guesses of the next layer's experts are of use. */
  get prefetches(): boolean {
    return this.stream?.prefetches === true;
  }

  /** What was computed so far counts for nothing. */
  forgetCalls(): void {
    this.statistics.forget();
    this.costs.forget();
  }

  /** Runs a plan for routes, for measurements: without one, each expert where its weights are. @returns what was run */
  measure(routes: Routes, plan?: readonly Share[]): readonly Share[] {
    const demand = this.assignments.group(routes, (e) => this.resident.has(routes.layer, e));
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

  /**
   * Repeats the last call's work piece by piece, lane after lane: the accelerator has no clock that could be read, so a
   * piece ends when it was waited for.
   */
  record(onSpan: OnSpan): void {
    const { routes, plan } = this.last!;
    const { layer, tokens } = routes;
    const lanes = byLane(plan);
    const single = tokens === 1;
    this.send(lanes, single);
    this.wait();
    let from = performance.now();
    const ended = (lane: SpanLane) => {
      this.wait();
      onSpan(lane, from, performance.now());
      from = performance.now();
    };
    lanes.streamed.forEach((share, i) => {
      this.stream!.run(layer, share, single, i, () => ended('copy'));
      ended('streamed');
    });
    for (const share of lanes.resident) {
      this.runResident(layer, share, single);
      ended('resident');
    }
    if (lanes.cpu.length === 0) return;
    this.startCpu(layer, lanes.cpu, tokens);
    this.finishCpu(tokens);
    this.settle();
    ended('cpu');
  }

  private startCpu(layer: number, shares: readonly Share[], tokens: number): void {
    if (!this.onCpu.overwrites) this.sums?.clear(tokens);
    this.onCpu.start({ layer, shares, assignments: this.assignments, tokens });
  }

  private finishCpu(tokens: number): void {
    this.onCpu.finish();
    this.sums?.send(tokens);
  }

  /**
   * @param backlog milliseconds for which the link is still busy with copies for this plan; undefined where the call is
   * made up or a repetition, so that no other layer follows
   */
  private execute(routes: Routes, plan: readonly Share[], backlog?: number): void {
    this.last = { routes, plan };
    const { layer, tokens } = routes;
    const lanes = byLane(plan);
    this.onAccelerator.release();
    const single = tokens === 1;
    const timed = this.overlaps && this.calls++ % TIMED_CALLS === 0;
    this.send(lanes, single);
    const begin = performance.now();
    if (lanes.cpu.length > 0) this.startCpu(layer, lanes.cpu, tokens);
    const cpuStarted = performance.now();
    // What lies in slots is computed first: copies wait for them. While residents are computed the first copies arrive.
    const cached = lanes.streamed.filter((share) => share.cached).length;
    for (let i = 0; i < cached; i++) this.stream!.run(layer, lanes.streamed[i]!, single, i);
    const cachedIssued = performance.now();
    for (const share of lanes.resident) this.runResident(layer, share, single);
    const residentIssued = performance.now();
    for (let i = cached; i < lanes.streamed.length; i++) this.stream!.run(layer, lanes.streamed[i]!, single, i);
    this.stream?.settle();
    const streamedIssued = performance.now();
    if (routes.next) this.stream?.prefetch(layer + 1, routes.next);
    const prefetched = performance.now();
    if (lanes.cpu.length > 0) this.finishCpu(tokens);
    const end = performance.now();
    this.costs.planned(lanes, tokens);
    const waited = timed ? this.timeLanes(begin) : undefined;
    if (waited) {
      const times = { ...waited, streamed: waited.streamed - (backlog ?? 0), cpu: end - begin };
      this.costs.learn(lanes, this.parts.layers[layer]!.width, tokens, times);
    }
    // Behind the CPU's sums, which the next layer begins with: copies to the accelerator take turns.
    if (backlog !== undefined) this.stream?.copyAhead(routes, lanes.streamed, this.costs.measured.copy);
    this.count(layer, lanes, {
      resident: waited?.resident ?? (this.overlaps ? undefined : residentIssued - cachedIssued),
      streamed:
        waited?.streamed ?? (this.overlaps ? undefined : cachedIssued - cpuStarted + streamedIssued - residentIssued),
      cpu: end - (this.overlaps ? begin : prefetched),
    });
  }

  /** Sends the assignments to the devices that need them. */
  private send(lanes: Record<LaneName, Share[]>, single: boolean): void {
    const { resident, streamed, cpu } = lanes;
    const targets: RoutingInputs[] = [];
    if (resident.length + streamed.length > 0) targets.push(this.forAccelerator);
    // The native kernels read them where they are.
    if (cpu.length > 0 && this.cpuGraphs) targets.push(this.forCpu);
    if (!single) {
      for (const inputs of targets) inputs.send(this.assignments, this.assignments.total);
      return;
    }
    const placed: [place: number, weight: number][] = [];
    for (const { expert } of [...resident, ...cpu]) placed.push([expert, this.assignments.weight(expert)]);
    streamed.forEach(({ expert }, i) => {
      placed.push([this.streamedPlaces + i, this.assignments.weight(expert)]);
    });
    for (const inputs of targets) inputs.sendPlaced(placed);
  }

  private runResident(layer: number, share: Share, single: boolean): void {
    const placed = this.resident.expert(layer, share.expert);
    this.onAccelerator.run(layer, share, placed, this.parts.layers[layer]!.activation, this.assignments, single);
  }

  /** Exchanges a resident expert for a missing one of its layer; only between calls of the model. Done when it returns. */
  exchange(exchange: Exchange): void {
    const { layer, evicted, admitted } = exchange;
    const { host, accelerator } = this.parts;
    const { copies } = accelerator;
    this.wait();
    for (const expert of [evicted, admitted]) {
      this.onAccelerator.forget(layer, expert);
      this.onCpu.forget(layer, expert);
    }
    const read = (target: PlacedExpert) => {
      this.resident.read(copies, layer, evicted, target);
      copies.synchronize();
    };
    const write = (source: PlacedExpert) => {
      this.resident.replace(copies, layer, [evicted, admitted], source);
      copies.synchronize();
    };
    host.exchange(exchange, read, write);
  }

  /** The native kernels compute the CPU lane. */
  get native(): boolean {
    return this.parts.pool !== undefined;
  }

  /** Name of the kernels that compute the CPU lane. */
  get kernels(): string {
    return this.onCpu.kernels;
  }

  /** Some experts may be on another device than the CPU. */
  get offloads(): boolean {
    return this.sums !== undefined;
  }

  /** Returns once the accelerator has nothing left to do. */
  wait(): void {
    this.parts.accelerator.copies.synchronize();
    this.parts.accelerator.compute.synchronize();
  }

  /** Waits until each lane of the accelerator is done, and gives their milliseconds since `begin`. */
  private timeLanes(begin: number): Omit<LaneTimes, 'cpu'> {
    const { accelerator } = this.parts;
    const before = performance.now();
    accelerator.copies.synchronize();
    const copied = performance.now();
    accelerator.compute.synchronize();
    const streamedLast = copied - before > SYNCHRONISE_MS;
    return { resident: performance.now() - begin, streamed: copied - begin, streamedLast };
  }

  private count(layer: number, lanes: Record<LaneName, Share[]>, ms: Record<LaneName, number | undefined>): void {
    const bytes = this.bytes[layer]!;
    const { width } = this.parts.layers[layer]!;
    for (const lane of LANES) {
      if (lanes[lane].length === 0) continue;
      const sum = (shares: readonly Share[]) => shares.reduce((total, share) => total + partOf(share, width), 0);
      const moved = lanes[lane].filter(({ cached }) => !cached);
      this.statistics.add(lane, sum(lanes[lane]), sum(moved) * bytes, ms[lane]);
    }
  }

  free(): void {
    this.onAccelerator.free();
    this.onCpu.free();
    this.sums?.free();
    this.forCpu.free();
    if (this.forAccelerator !== this.forCpu) this.forAccelerator.free();
  }
}

/** Computes every expert where its weights are. */
function inPlace(demand: readonly Demand[]): Share[] {
  return demand.map(({ expert, tokens, resident }) => ({ expert, tokens, lane: resident ? 'resident' : 'cpu' }));
}

function byLane(plan: readonly Share[]): Record<LaneName, Share[]> {
  const of = (lane: LaneName) => plan.filter((share) => share.lane === lane);
  const streamed = of('streamed');
  const cached = streamed.filter((share) => share.cached);
  const missing = streamed.filter((share) => !share.cached);
  // What is cached is computed before a copy takes its slot.
  return { resident: of('resident'), streamed: [...cached, ...missing], cpu: of('cpu') };
}
