import type { Device } from '../../devices/device.js';
import type { Tensor } from '../../native/ggml/tensor.js';
import { Assignments, type Routes } from '../assignments.js';
import { buildForRows, EXPERT_GRAPH_CAPACITY } from '../expert.js';
import type { Division, Share } from '../policy.js';
import type { ResidentExperts } from '../resident-experts.js';
import { RoutingInputs } from '../routing-inputs.js';
import type { OnSpan, SpanLane } from '../spans.js';
import type { Statistics } from '../statistics.js';
import type { TimedLane } from '../timed-calls.js';
import { type CallTimes, timeAccelerator } from './call-times.js';
import { Coming } from './coming.js';
import { ExpertCompute } from './compute.js';
import { type CpuExperts, GgmlExperts } from './cpu.js';
import { ExpertGroups, mostRows } from './groups.js';
import { NativeExperts } from './native.js';
import type { LanesParts } from './parts.js';
import { ResidentLane } from './resident.js';
import { StreamLane } from './stream.js';
import { CpuSums } from './sums.js';

/** The three lanes: computes the shares of a layer's experts, all lanes at once, and adds up. */
export class Lanes {
  /** Missing where nothing is streamed. */
  readonly stream?: StreamLane;
  /** The accelerator computes and copies while the CPU computes. */
  readonly overlaps: boolean;
  /** Of the routes that `run` and `record` are for; grouped by the caller. */
  readonly assignments: Assignments;
  private readonly forCpu: RoutingInputs;
  private readonly forAccelerator: RoutingInputs;
  private readonly sums?: CpuSums;
  private readonly onAccelerator: ExpertCompute;
  /** Whole experts, on an accelerator. */
  private readonly groups?: ExpertGroups;
  private readonly onCpu: CpuExperts;
  /** Where ggml's kernels compute the CPU lane. */
  private readonly cpuGraphs?: ExpertCompute;
  private readonly coming: Coming;
  private readonly residents: ResidentLane;
  /** Those of the call at hand. */
  private residentsQueued = false;
  /** In a call of one token, the place of the first streamed expert's weight: behind those of all experts. */
  private readonly streamedPlaces: number;

  constructor(
    private readonly parts: LanesParts,
    statistics: Statistics,
  ) {
    const { cpu, accelerator, layers, chunk, output, input, hostInput, hostMemory, host, pool, slots, cached } = parts;
    const chosen = Math.max(...layers.map((l) => l.chosen));
    const count = Math.max(...layers.map((l) => l.count));
    const most = chunk * chosen;
    this.assignments = new Assignments(count, most, parts.orderLoops);
    this.streamedPlaces = count;
    this.coming = new Coming(accelerator);
    const inputsOf = (device: Device) =>
      new RoutingInputs(device, Assignments.capacity(count, most), count + chosen, hostMemory);
    this.forCpu = inputsOf(cpu);
    this.forAccelerator = accelerator === cpu ? this.forCpu : inputsOf(accelerator);
    this.overlaps = accelerator.copies !== accelerator.compute;
    if (accelerator !== cpu) {
      this.sums = new CpuSums(accelerator, output, hostMemory);
      const { graphBytes, byNumber } = parts;
      const { exact, readsBehind } = byNumber;
      const rows = mostRows(layers, host.types, byNumber.rows);
      this.groups = new ExpertGroups(accelerator, {
        layers,
        chunk,
        input,
        output,
        hostMemory,
        orderLoops: parts.orderLoops,
        exact,
        rows,
        readsBehind,
        graphBytes,
      });
    }
    const io = ({ rows, weights, fetch }: RoutingInputs) => ({ rows, weights, fetch });
    this.onAccelerator = new ExpertCompute(accelerator, { input, output, ...io(this.forAccelerator) });
    const { assignments, onAccelerator: compute, groups, coming, streamedPlaces: firstPlace, overlaps } = this;
    this.residents = new ResidentLane({ layers, stream: accelerator.compute, compute, groups, assignments, coming });
    const onHost = this.sums?.host ?? output;
    if (pool)
      this.onCpu = new NativeExperts(pool, host, layers, host.types, hostInput, onHost, this.sums !== undefined);
    else {
      this.cpuGraphs = new ExpertCompute(cpu, { input: hostInput, output: onHost, ...io(this.forCpu) });
      this.onCpu = new GgmlExperts(this.cpuGraphs, host, layers);
    }
    if (!slots || !groups) return;
    const isResident = (layer: number, expert: number) => this.resident.has(layer, expert);
    const shared = { layers, host, slots, cached, compute, groups, assignments, statistics, isResident };
    this.stream = new StreamLane({ ...shared, firstPlace, overlaps });
  }

  get resident(): ResidentExperts {
    return this.residents.experts;
  }

  /** Says which experts are resident, once it is known how much room there is for them. */
  place(resident: ResidentExperts): void {
    this.residents.experts = resident;
    for (const layer of this.parts.layers.keys()) {
      this.residents.makeRoom(layer);
      this.stream?.makeRoom(layer);
    }
  }

  /** Makes room on the devices for an expert's graph with as many tokens as a call can have. */
  reserve(): void {
    const { layers, host, chunk } = this.parts;
    this.groups?.reserve(host.expert(0, 0), layers[0]!.activation);
    for (const compute of [this.onAccelerator, this.cpuGraphs]) {
      compute?.device.reserve(EXPERT_GRAPH_CAPACITY, (g) =>
        buildForRows(g, host.expert(0, 0), layers[0]!.activation, compute.io, 0, chunk),
      );
    }
  }

  /**
   * Queues a call's resident experts while it is not decided yet where the others are computed, which takes the thread long
   * where tokens are many; `run` computes the rest.
   */
  queueResidents(layer: number, resident: readonly Share[], tokens: number): void {
    this.begin(layer, { resident, streamed: [], cpu: [] }, tokens);
    this.residents.run(layer, resident, tokens);
    this.residentsQueued = true;
  }

  /**
   * Adds the shares' results to the output, but for what `arrived` then gives. The accelerator may still be
   * computing when this returns, unless the call is timed.
   * @param timed the lane that is waited for first, so that its time is its own
   * @param meanwhile called once all is queued, unless the call is timed: then behind that; with what `arrived` will give
   */
  run(
    { layer, tokens, next }: Routes,
    division: Division,
    timed?: TimedLane,
    meanwhile?: (arrives: Tensor | undefined) => void,
  ): CallTimes {
    const { resident, streamed, cpu } = division;
    if (!this.residentsQueued) this.begin(layer, division, tokens);
    // The native kernels read them where they are.
    if (cpu.length > 0 && this.cpuGraphs) this.sendTo(this.forCpu, division, tokens === 1);
    const begin = performance.now();
    if (cpu.length > 0) this.startCpu(layer, cpu, tokens);
    const cpuStarted = performance.now();
    // What lies in slots is computed first: copies wait for them. While residents are computed the first copies arrive.
    const finishStream = streamed.length > 0 ? this.stream!.start(layer, streamed, tokens) : undefined;
    const streamStarted = performance.now();
    if (!this.residentsQueued) this.residents.run(layer, resident, tokens);
    this.residentsQueued = false;
    const residentIssued = performance.now();
    finishStream?.();
    this.stream?.settle();
    const streamedIssued = performance.now();
    if (next) this.stream?.prefetch(layer + 1, next);
    const prefetched = performance.now();
    const arrives = cpu.length > 0 ? this.sums?.arrived : undefined;
    if (!timed) meanwhile?.(arrives);
    const acceleratorFirst = timed === 'accelerator';
    const before = acceleratorFirst ? timeAccelerator(this.parts.accelerator, begin) : undefined;
    if (cpu.length > 0) this.onCpu.finish();
    const end = performance.now();
    const accelerator = before ?? (timed ? timeAccelerator(this.parts.accelerator, begin) : undefined);
    if (cpu.length > 0) this.sums?.send(tokens);
    if (timed) meanwhile?.(arrives);
    if (accelerator) {
      const times = { ...accelerator, cpu: end - begin, acceleratorFirst };
      return { lanes: times, timed: times };
    }
    if (this.overlaps) return { lanes: { resident: undefined, streamed: undefined, cpu: end - begin } };
    const streamedMs = streamStarted - cpuStarted + streamedIssued - residentIssued;
    return { lanes: { resident: residentIssued - streamStarted, streamed: streamedMs, cpu: end - prefetched } };
  }

  /**
   * Runs the shares piece by piece, lane after lane: the accelerator has no clock that could be read, so a piece ends
   * when it was waited for.
   */
  record({ layer, tokens }: Routes, division: Division, onSpan: OnSpan): void {
    const { resident, streamed, cpu } = division;
    const single = tokens === 1;
    this.sendTo(this.forAccelerator, division, single);
    if (this.cpuGraphs) this.sendTo(this.forCpu, division, single);
    this.wait();
    let from = performance.now();
    const ended = (lane: SpanLane) => {
      this.wait();
      onSpan(lane, from, performance.now());
      from = performance.now();
    };
    streamed.forEach((share, i) => {
      this.stream!.run(layer, share, tokens, i, () => ended('copy'));
      ended('streamed');
    });
    for (const share of resident) {
      this.residents.runOne(layer, share, tokens);
      ended('resident');
    }
    if (cpu.length === 0) return;
    this.startCpu(layer, cpu, tokens);
    this.onCpu.finish();
    this.sums?.send(tokens);
    this.settle();
    ended('cpu');
  }

  /** Sends the assignments of what the accelerator may compute alone. */
  private begin(layer: number, division: Division, tokens: number): void {
    const { resident, streamed } = division;
    this.onAccelerator.release();
    this.groups?.begin();
    const aloneResident = resident.length > 0 && (tokens > 1 || !this.residents.isGrouped(layer));
    const aloneStreamed = streamed.some((share) => tokens > 1 || !this.stream!.isGrouped(layer, share, tokens));
    if (aloneResident || aloneStreamed) this.sendTo(this.forAccelerator, division, tokens === 1);
  }

  private sendTo(inputs: RoutingInputs, { resident, streamed, cpu }: Division, single: boolean): void {
    const { assignments, streamedPlaces } = this;
    const placed = (place: number, { expert }: Share) => [place, assignments.weight(expert)] as const;
    if (!single) inputs.send(assignments);
    else {
      const own = [...resident, ...cpu].map((share) => placed(share.expert, share));
      inputs.sendPlaced([...own, ...streamed.map((share, i) => placed(streamedPlaces + i, share))]);
    }
  }

  private startCpu(layer: number, shares: readonly Share[], tokens: number): void {
    this.parts.awaitInput();
    this.coming.awaitHere(layer);
    if (!this.onCpu.overwrites) this.sums?.clear(tokens);
    this.onCpu.start({ layer, shares, assignments: this.assignments, tokens });
  }

  /**
   * What the CPU computed for the output and the caller must add to it [chunk, hidden], first of all that it
   * computes; undefined where there is nothing.
   */
  arrived(): Tensor | undefined {
    return this.sums?.take();
  }

  /** Queues what the caller of `arrived` would have to add. */
  settle(): void {
    this.sums?.settle();
  }

  /** Returns once the accelerator has nothing left to do. */
  wait(): void {
    this.parts.accelerator.wait();
  }

  /** Copies of an exchange of a layer were queued. @param back an expert of it comes to the host's memory */
  comes(layer: number, back: boolean): void {
    this.coming.queued(layer, back);
  }

  /** Drops what was kept for an expert whose weights lie elsewhere from now on. */
  forget(layer: number, expert: number): void {
    this.onAccelerator.forget(layer, expert);
    this.onCpu.forget(layer, expert);
  }

  /** Some experts may be on another device than the CPU. */
  get offloads(): boolean {
    return this.sums !== undefined;
  }

  /** Name of the kernels that compute the CPU lane. */
  get kernels(): string {
    return this.onCpu.kernels;
  }

  /**
   * After an error anywhere in a call: joins all lanes, and forgets what they have not added, what may be copied by half,
   * and every graph.
   * @throws FiddlerError where a device cannot be waited for
   */
  recover(): void {
    this.residentsQueued = false;
    this.onCpu.abandon();
    this.wait();
    for (const device of [this.parts.cpu, this.parts.accelerator]) device.dropGraphs();
    this.onAccelerator.dropGraphs();
    this.groups?.dropGraphs();
    this.cpuGraphs?.dropGraphs();
    this.sums?.drop();
    this.stream?.forget();
    this.coming.forget();
  }
}
