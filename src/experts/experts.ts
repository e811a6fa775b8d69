import type { Device } from '../devices/device.js';
import type { Pointer } from '../ggml/api.js';
import type { Tensor } from '../ggml/tensor.js';
import { Assignments, type Routes } from './assignments.js';
import { interpolate, medianMs, NO_COSTS } from './costs.js';
import { buildForRows, EXPERT_GRAPH_CAPACITY, type PlacedExpert } from './expert.js';
import type { HostExperts } from './host-experts.js';
import { RoutingInputs } from './io.js';
import { ExpertCompute } from './lanes/compute.js';
import type { StreamSlots } from './lanes/slots.js';
import { CpuSums } from './lanes/sums.js';
import { type Costs, type Demand, LANES, type LaneName, type Policy, type Share } from './policy.js';
import type { ResidentExperts } from './resident-experts.js';
import type { ExpertsSpec } from './spec.js';
import { Statistics } from './statistics.js';

/** Lanes that run beside each other are timed at every n-th call only, since that takes a synchronisation. */
const TIMED_CALLS = 8;

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
  policy: Policy;
  /** Type of buffers in the host's memory that the accelerator copies from and to. */
  hostType: Pointer;
}

/** The routed experts of a model: decides where each is computed, runs the three lanes at once, and adds up. */
export class Experts {
  costs: Costs = NO_COSTS;
  /** Set once it is known how much room there is for them. */
  resident!: ResidentExperts;
  readonly statistics: Statistics;
  private readonly assignments: Assignments;
  private readonly inputs: RoutingInputs[];
  private readonly sums?: CpuSums;
  private readonly onAccelerator: ExpertCompute;
  private readonly onCpu: ExpertCompute;
  /** In a call of one token, the place of the first streamed expert's weight: behind those of all experts. */
  private readonly streamedPlaces: number;
  /** The accelerator computes and copies while the CPU computes. */
  private readonly overlaps: boolean;
  /** Bytes of one expert of each layer. */
  private readonly bytes: readonly number[];
  private calls = 0;

  constructor(private readonly parts: ExpertsParts) {
    const { cpu, accelerator, layers, chunk, hidden, input, hostInput, hostType } = parts;
    const count = Math.max(...layers.map((l) => l.count));
    const chosen = Math.max(...layers.map((l) => l.chosen));
    const capacity = chunk * chosen;
    this.streamedPlaces = count;
    this.assignments = new Assignments(count, capacity);
    this.bytes = layers.map((_, l) => parts.host.expertBytes(l));
    this.statistics = new Statistics(layers.map((l) => l.count));
    const inputsOf = (device: Device) => new RoutingInputs(device, capacity, count + chosen, hostType);
    const forCpu = inputsOf(cpu);
    const forAccelerator = accelerator === cpu ? forCpu : inputsOf(accelerator);
    this.overlaps = accelerator.copies !== accelerator.compute;
    this.inputs = accelerator === cpu ? [forCpu] : [forCpu, forAccelerator];
    if (accelerator !== cpu) this.sums = new CpuSums(accelerator, hidden, hostType);
    const io = ({ rows, weights }: RoutingInputs) => ({ rows, weights });
    this.onAccelerator = new ExpertCompute(accelerator, { input, output: hidden, ...io(forAccelerator) });
    this.onCpu = new ExpertCompute(cpu, { input: hostInput, output: this.sums?.host ?? hidden, ...io(forCpu) });
  }

  /** Makes room on the devices for an expert's graph with as many tokens as a call can have. */
  reserve(): void {
    const { layers, host, chunk } = this.parts;
    for (const { device, io } of new Set([this.onAccelerator, this.onCpu])) {
      device.reserve(EXPERT_GRAPH_CAPACITY, (g) =>
        buildForRows(g, host.expert(0, 0), layers[0]!.activation, io, 0, chunk),
      );
    }
  }

  /** Adds each token's routed experts to the hidden states; the accelerator may still be computing when this returns. */
  run(routes: Routes): void {
    const { resident } = this;
    const { policy } = this.parts;
    const { layer } = routes;
    this.onAccelerator.release();
    this.onCpu.release();
    const demand = this.assignments.group(routes, (e) => resident.has(layer, e));
    const lanes = byLane(this.sums ? policy.decide(demand, this.costs) : inPlace(demand));
    const single = routes.tokens === 1;
    this.send(lanes, single);
    const begin = performance.now();
    for (const { expert } of lanes.resident) this.runResident(layer, expert, single);
    const residentIssued = performance.now();
    lanes.streamed.forEach(({ expert }, i) => this.runStreamed(layer, expert, single, i));
    const streamedIssued = performance.now();
    this.runCpu(layer, lanes.cpu, routes.tokens);
    const end = performance.now();
    const waited = this.wait(begin);
    this.count(layer, demand, lanes, {
      resident: waited?.resident ?? (this.overlaps ? undefined : residentIssued - begin),
      streamed: waited?.streamed ?? (this.overlaps ? undefined : streamedIssued - residentIssued),
      cpu: end - streamedIssued,
    });
  }

  /** Sends the assignments to the devices that need them. */
  private send(lanes: Record<LaneName, Share[]>, single: boolean): void {
    const total = this.assignments.total;
    if (!single) {
      for (const inputs of this.inputs) inputs.send(this.assignments, total);
      return;
    }
    const placed: [place: number, weight: number][] = [];
    for (const { expert } of [...lanes.resident, ...lanes.cpu]) placed.push([expert, this.assignments.weight(expert)]);
    lanes.streamed.forEach(({ expert }, i) => {
      placed.push([this.streamedPlaces + i, this.assignments.weight(expert)]);
    });
    for (const inputs of this.inputs) inputs.sendPlaced(placed);
  }

  private runResident(layer: number, expert: number, single: boolean): void {
    this.compute(this.onAccelerator, layer, expert, this.resident.expert(layer, expert), single);
  }

  private runStreamed(layer: number, expert: number, single: boolean, order: number): void {
    const { host, slots, layers } = this.parts;
    const { activation } = layers[layer]!;
    slots!.run(host.expert(layer, expert), (copied, slot) => {
      if (single) {
        this.onAccelerator.forOne(`slot ${slot}.${order}`, copied, activation, this.streamedPlaces + order);
      } else this.onAccelerator.forRows(copied, activation, this.assignments, expert);
    });
  }

  private runCpu(layer: number, shares: readonly Share[], tokens: number): void {
    if (shares.length === 0) return;
    this.sums?.clear(tokens);
    for (const { expert } of shares) {
      this.compute(this.onCpu, layer, expert, this.parts.host.expert(layer, expert), tokens === 1);
    }
    this.sums?.add(tokens);
  }

  private compute(on: ExpertCompute, layer: number, expert: number, placed: PlacedExpert, single: boolean): void {
    const { activation } = this.parts.layers[layer]!;
    if (single) on.forOne(`${layer}.${expert}`, placed, activation, expert);
    else on.forRows(placed, activation, this.assignments, expert);
  }

  /** Where lanes overlap, waits at some calls until each is done, and gives their milliseconds since `begin`. */
  private wait(begin: number): { resident: number; streamed: number } | undefined {
    if (!this.overlaps || this.calls++ % TIMED_CALLS !== 0) return undefined;
    const { accelerator } = this.parts;
    accelerator.copies.synchronize();
    const streamed = performance.now() - begin;
    accelerator.compute.synchronize();
    return { resident: performance.now() - begin, streamed };
  }

  private count(
    layer: number,
    demand: readonly Demand[],
    lanes: Record<LaneName, Share[]>,
    ms: Record<LaneName, number | undefined>,
  ): void {
    const bytes = this.bytes[layer]!;
    for (const { expert, tokens } of demand) this.statistics.chosen(layer, expert, tokens);
    for (const lane of LANES) {
      const { length } = lanes[lane];
      if (length > 0) this.statistics.add(lane, length, length * bytes, ms[lane]);
    }
  }

  /** Milliseconds of one missing expert in each lane, measured here and now; it is of the first layer that has one. */
  measure(layer: number, expert: number): Costs {
    const { accelerator, chunk, host, slots } = this.parts;
    const { chosen } = this.parts.layers[layer]!;
    const sizes = [1, 8, 32, 128].filter((n) => n <= chunk);
    const wait = () => {
      accelerator.copies.synchronize();
      accelerator.compute.synchronize();
    };
    const samples = (on: ExpertCompute, placed: PlacedExpert) =>
      interpolate(
        sizes.map((tokens) => {
          this.assignments.group(allTo(layer, expert, tokens, chosen), () => false);
          for (const inputs of this.inputs) inputs.send(this.assignments, this.assignments.total);
          const ms = medianMs(() => {
            this.compute(on, layer, expert, placed, tokens === 1);
            wait();
          });
          on.release();
          return { tokens, ms };
        }),
      );
    const source = host.expert(layer, expert);
    const cpu = samples(this.onCpu, source);
    if (!slots) return { ...NO_COSTS, cpu };
    let copied = source;
    const copy = medianMs(() => {
      slots.run(source, (inSlot) => {
        copied = inSlot;
      });
      wait();
    });
    const onAccelerator = new ExpertCompute(accelerator, this.onAccelerator.io);
    const costs = { cpu, copy, accelerator: samples(onAccelerator, copied) };
    onAccelerator.free();
    return costs;
  }

  free(): void {
    this.onAccelerator.free();
    this.onCpu.free();
    this.sums?.free();
    for (const inputs of this.inputs) inputs.free();
  }
}

/** Without an accelerator there is nothing to decide. */
function inPlace(demand: readonly Demand[]): Share[] {
  return demand.map(({ expert, tokens }) => ({ expert, tokens, lane: 'cpu' }));
}

function byLane(plan: readonly Share[]): Record<LaneName, Share[]> {
  const of = (lane: LaneName) => plan.filter((share) => share.lane === lane);
  return { resident: of('resident'), streamed: of('streamed'), cpu: of('cpu') };
}

/** Routes that send every token of a call to one expert. */
function allTo(layer: number, expert: number, tokens: number, chosen: number): Routes {
  const experts = new Int32Array(tokens * chosen).fill(-1);
  const weights = new Float32Array(tokens * chosen);
  for (let t = 0; t < tokens; t++) {
    experts[t * chosen] = expert;
    weights[t * chosen] = 1;
  }
  return { layer, tokens, chosen, experts, weights };
}
