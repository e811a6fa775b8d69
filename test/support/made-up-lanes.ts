import type { LearntCosts } from '../../src/experts/adaptation.js';
import { NO_COSTS } from '../../src/experts/costs.js';
import { copiedAhead } from '../../src/experts/lanes/ahead.js';
import {
  byLane,
  type Costs,
  type Demand,
  type Division,
  type Policy,
  partOf,
  type Share,
} from '../../src/experts/policy.js';

const WIDTH = 768;
const LAYERS = 16;
/** Of the calls, every so many is timed, for the CPU and the accelerator in turn. */
const TIMED = 7;

/** What the lanes of a machine take, whatever was measured: milliseconds. */
export interface MadeUpMachine {
  /** An expert with so many tokens. */
  cpu: (tokens: number) => number;
  accelerator: (tokens: number) => number;
  copy: number;
  contention: Costs['contention'];
  /** What the accelerator takes for attention, while copies ahead travel. */
  attend: number;
  /** What the thread takes that queues a copy, and a graph of some experts. */
  queue: { copy: number; graph: number };
}

/** Experts of each layer: tokens that each has, and how many of them are resident. */
export interface MadeUpRouting {
  tokens: readonly number[];
  resident: number;
}

/** Passes prompts of several tokens through layers that are alike, as the engine does, and learns from what it sees. */
export class MadeUpLanes {
  private calls = 0;

  constructor(
    private readonly machine: MadeUpMachine,
    private readonly routing: MadeUpRouting,
    private readonly policy: Policy,
    private readonly costs?: LearntCosts,
  ) {
    costs?.use(policy.name);
  }

  /** @returns milliseconds of a prompt */
  prompt(): number {
    const { attend, queue, copy } = this.machine;
    let total = 0;
    let ahead: readonly number[] = [];
    let backlog = 0;
    for (let layer = 0; layer < LAYERS; layer++) {
      const { ms, streamed } = this.layer(new Set(ahead), backlog);
      ahead = layer + 1 < LAYERS ? copiedAhead(this.missing(), streamed, Infinity) : [];
      const attended = Math.max(attend, ahead.length * queue.copy);
      backlog = Math.max(0, ahead.length * copy - attended);
      total += ms + attended;
    }
    return total;
  }

  /** Missing experts, those with most tokens first. */
  private missing(): number[] {
    const { tokens, resident } = this.routing;
    return [...tokens.keys()].slice(resident).sort((a, b) => tokens[b]! - tokens[a]!);
  }

  private layer(cached: ReadonlySet<number>, backlog: number): { ms: number; streamed: number } {
    const { tokens, resident } = this.routing;
    const demand = tokens.map((n, expert): Demand => {
      return { expert, tokens: n, resident: expert < resident, cached: cached.has(expert) };
    });
    const total = tokens.reduce((sum, n) => sum + n, 0);
    const plan = this.policy.decide(demand, this.costs?.for(total, backlog) ?? NO_COSTS, WIDTH);
    const division = byLane(plan);
    const ends = this.ends(division, backlog);
    this.costs?.planned(division, total);
    if (this.calls++ % TIMED === 0) this.learn(division, total, backlog, ends);
    const whole = division.streamed.filter(({ range }) => !range).length;
    return { ms: Math.max(ends.queued, ends.cpu, ends.computed), streamed: whole };
  }

  /** When each lane is done: milliseconds since the layer's experts began. */
  private ends({ cpu, streamed, resident }: Division, backlog: number) {
    const { machine } = this;
    const sum = (shares: readonly Share[], ms: (share: Share) => number) =>
      shares.reduce((total, share) => total + partOf(share, WIDTH) * ms(share), 0);
    const copies = streamed.filter((share) => !share.cached);
    const { copy, graph } = machine.queue;
    const onAccelerator = [...resident, ...streamed];
    const beside = cpu.length > 0 ? (machine.contention.computing ?? 1) : 1;
    const queued = copies.length * copy + (onAccelerator.length > 0 ? graph : 0);
    const alone = {
      cpu: sum(cpu, (share) => machine.cpu(share.tokens)),
      copy: backlog + sum(copies, () => machine.copy),
    };
    const done = { cpu: this.slowed('cpu', 'copy', alone), copy: this.slowed('copy', 'cpu', alone) };
    const last = streamed.length > 0 ? beside * machine.accelerator(streamed.at(-1)!.tokens) : 0;
    const computing = beside * (graph + sum(onAccelerator, (share) => machine.accelerator(share.tokens)));
    return { cpu: done.cpu, queued, arrived: done.copy, computed: Math.max(queued, computing, done.copy + last) };
  }

  /** When one of two is done that slow each other down while both work. */
  private slowed(one: 'cpu' | 'copy', other: 'cpu' | 'copy', alone: Record<'cpu' | 'copy', number>): number {
    const { contention } = this.machine;
    const [slow, beside] = [alone[one] * contention[one], alone[other] * contention[other]];
    return slow <= beside ? slow : beside + alone[one] - beside / contention[one];
  }

  /** As the thread sees the ends that waits for one lane after the other. */
  private learn(division: Division, tokens: number, backlog: number, ends: ReturnType<MadeUpLanes['ends']>): void {
    const { queued, arrived, computed } = ends;
    const acceleratorFirst = Math.floor(this.calls / TIMED) % 2 === 1;
    const looked = acceleratorFirst ? queued : Math.max(queued, ends.cpu);
    const resident = Math.max(looked, computed);
    const cpu = Math.max(ends.cpu, acceleratorFirst ? resident : queued);
    const seen = { cpu, streamed: Math.max(looked, arrived), resident, streamedLast: arrived > looked };
    this.costs?.learn(division, WIDTH, tokens, { ...seen, acceleratorFirst }, backlog);
  }
}
