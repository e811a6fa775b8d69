import { behind, inCallOf, NO_COSTS } from './costs.js';
import { type Costs, partOf, type Share } from './policy.js';

/** Weight of the newest observation. */
const LEARNING = 0.15;
/** Of what is believed, forgotten at each call that shows nothing of it: what looked too slow is tried again. */
const FORGETTING = 0.001;

/** One call in which CPU and stream both worked; milliseconds since it began. */
export interface Observation {
  cpuMs: number;
  /** What the CPU's experts would cost alone, by the measured costs. */
  cpuAloneMs: number;
  /** Experts copied; parts count as parts. */
  streamedExperts: number;
  /** Until the last copy had arrived, as seen by a thread that looks once the CPU is done. */
  streamedMs: number;
  /** The copies were still under way when the CPU was done: only then is `streamedMs` their own time. */
  streamedLast: boolean;
}

/**
 * Corrects how much CPU and copies slow each other down, from the calls themselves: what a short measurement at load
 * says of it is off by the share that each lane happens to have.
 */
export class Adaptation {
  constructor(private contention: Costs['contention']) {}

  get current(): Costs['contention'] {
    return this.contention;
  }

  /** A call in which the two did not run together. */
  forget(): void {
    const { cpu, copy } = this.contention;
    this.contention = { cpu: cpu - FORGETTING * (cpu - 1), copy: copy - FORGETTING * (copy - 1) };
  }

  observe(seen: Observation, copyMs: number): void {
    const cpu = seen.cpuMs / seen.cpuAloneMs;
    const copied = seen.streamedMs / (seen.streamedExperts * copyMs);
    // Copies that ended unseen took at most as long as the CPU did.
    const copy = seen.streamedLast ? copied : Math.min(this.contention.copy, copied);
    // One call that met something else says little.
    const towards = (old: number, found: number) =>
      Math.min(8, Math.max(0.5, old + LEARNING * (Math.min(found, 2 * old) - old)));
    this.contention = { cpu: towards(this.contention.cpu, cpu), copy: towards(this.contention.copy, copy) };
  }
}

/** What a timed call showed, in milliseconds since it began. */
export interface LaneTimes {
  cpu: number;
  /** When the thread that waits saw the last copy done, and the accelerator. */
  streamed: number;
  resident: number;
  /** Copies were under way when the CPU was done. */
  streamedLast: boolean;
}

/** The costs by which policies decide: measured when the model is loaded, contention corrected while running. */
export class LearntCosts {
  measured: Costs = NO_COSTS;
  /** For calls of one token and of several: their lanes work in different proportions. */
  private adaptations?: { single: Adaptation; several: Adaptation };

  /** @param adapt corrects contention from now on */
  set(costs: Costs, adapt: boolean): void {
    this.measured = costs;
    const start = () => new Adaptation(costs.contention);
    this.adaptations = adapt && costs.overlap ? { single: start(), several: start() } : undefined;
  }

  /** What calls showed is forgotten. */
  forget(): void {
    this.set(this.measured, this.adaptations !== undefined);
  }

  private adaptation(tokens: number): Adaptation | undefined {
    return tokens === 1 ? this.adaptations?.single : this.adaptations?.several;
  }

  /** For a call of so many tokens. @param backlog milliseconds for which the link is still busy with earlier copies */
  for(tokens: number, backlog = 0): Costs {
    const learnt = this.adaptation(tokens);
    const measured = inCallOf(this.measured, tokens);
    return behind(learnt ? { ...measured, contention: learnt.current } : measured, backlog);
  }

  /** Takes note of a call's plan, timed or not. */
  planned(lanes: { cpu: readonly Share[]; streamed: readonly Share[] }, tokens: number): void {
    if (!together(lanes)) this.adaptation(tokens)?.forget();
  }

  /** Learns from a timed call. @param width inner rows of an expert */
  learn(
    lanes: { cpu: readonly Share[]; streamed: readonly Share[] },
    width: number,
    tokens: number,
    { cpu: cpuMs, streamed: streamedMs, streamedLast }: LaneTimes,
  ): void {
    if (!together(lanes)) return;
    const copied = lanes.streamed.filter(({ cached }) => !cached);
    const sum = (shares: readonly Share[], cost: (share: Share) => number) =>
      shares.reduce((total, share) => total + partOf(share, width) * cost(share), 0);
    const { calls, cpu, copy } = inCallOf(this.measured, tokens);
    const cpuAloneMs = calls.cpu + sum(lanes.cpu, (share) => cpu(share.tokens));
    const streamedExperts = sum(copied, () => 1);
    const seen = { cpuMs, cpuAloneMs, streamedMs, streamedExperts, streamedLast };
    this.adaptation(tokens)?.observe(seen, copy);
  }
}

/** Whether the CPU computes while something is copied. */
function together({ cpu, streamed }: { cpu: readonly Share[]; streamed: readonly Share[] }): boolean {
  return cpu.length > 0 && streamed.some(({ cached }) => !cached);
}
