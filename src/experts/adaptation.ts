import type { Costs } from './policy.js';

/** Weight of the newest observation. */
const LEARNING = 0.15;

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

  observe(seen: Observation, copyMs: number): void {
    const cpu = seen.cpuMs / seen.cpuAloneMs;
    const copied = seen.streamedMs / (seen.streamedExperts * copyMs);
    // Copies that ended unseen took at most as long as the CPU did.
    const copy = seen.streamedLast ? copied : Math.min(this.contention.copy, copied);
    const towards = (old: number, found: number) => Math.min(8, Math.max(0.5, old + LEARNING * (found - old)));
    this.contention = { cpu: towards(this.contention.cpu, cpu), copy: towards(this.contention.copy, copy) };
  }
}
