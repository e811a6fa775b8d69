import { behind, inCallOf, NO_COSTS } from './costs.js';
import { type Expected, LinearFit } from './linear-fit.js';
import { type Costs, type Division, partOf, type Share } from './policy.js';

/** Weight of the newest observation, at least: the first ones weigh as much as what was measured. */
const LEARNING = 0.15;
/** A synchronisation that finds nothing to wait for takes less. */
export const SYNCHRONISE_MS = 0.05;
/** How many times longer the accelerator takes of several tokens while the CPU computes, until that was seen. */
const BESIDE_CPU = 1.25;
/** Of what is believed, forgotten in so many calls that show nothing of it: what looked too slow is tried again. */
const FORGETTING = 0.016;
const FORGETTING_CALLS = 16;

/** One call in which CPU and stream both worked; milliseconds since it began. */
export interface Observation {
  /** Until the CPU was done, and until the accelerator was. */
  cpuMs: number;
  computedMs: number;
  /** What the CPU's experts would cost alone, by the measured costs. */
  cpuAlone: Expected;
  /** What the link had to copy, behind what it was still busy with: alone, by the measured costs. */
  copiesAlone: number;
  /** Until the last copy had arrived, as seen by a thread that looks once the CPU is done. */
  streamedMs: number;
  /** The copies were still under way when the CPU was done: only then is `streamedMs` their own time. */
  streamedLast: boolean;
}

/** One call in which the accelerator computed experts; milliseconds since it began. */
export interface Computing {
  /** What they would cost, by the measured costs. */
  expected: Expected;
  /** Until they were computed, and until the last copy had arrived. */
  computedMs: number;
  copiedMs: number;
  /** The CPU computed meanwhile. */
  besideCpu: boolean;
}

/** What is corrected: factors of measured costs. */
interface Factors {
  /** While both work. */
  cpu: number;
  copy: number;
  /** Of the CPU while nothing is copied. */
  alone: Expected;
  accelerator: number;
  /** Of the accelerator while the CPU computes, beside that. */
  computing: number;
  /** Milliseconds from the last copy's arrival until what came is computed; undefined before any was seen. */
  tail?: number;
}

/**
 * Corrects how much CPU and copies slow each other down, and what computing on the accelerator takes, from the calls
 * themselves: what a short measurement at load says is off by the share that each lane happens to have, and by what a
 * process does slowly at first.
 */
class Adaptation {
  private factors: Factors;
  private unseen = 0;
  /** Observations so far: of both lanes at work, of the accelerator computing, and of that while the CPU did not. */
  private readonly seen = { both: 0, computing: 0, alone: 0 };
  private readonly fit?: LinearFit;

  /** @param alike calls are so much alike, and so many, that what a call takes is told apart from what is in it */
  constructor(contention: Costs['contention'], alike: boolean) {
    const { computing = alike ? 1 : BESIDE_CPU } = contention;
    this.factors = { ...contention, alone: { call: 1, work: 1 }, accelerator: 1, computing };
    if (alike) this.fit = new LinearFit();
  }

  get current(): Readonly<Factors> {
    return this.factors;
  }

  /** A call in which CPU and copies did not run together. @returns whether anything changed */
  forget(): boolean {
    if (++this.unseen % FORGETTING_CALLS !== 0) return false;
    const less = (factor: number) => factor - FORGETTING * (factor - 1);
    const { cpu, copy, accelerator, computing, tail } = this.factors;
    this.factors = {
      ...this.factors,
      cpu: less(cpu),
      copy: less(copy),
      computing: less(computing),
      accelerator: Math.min(accelerator, less(accelerator)),
      tail: tail === undefined ? undefined : tail * (1 - FORGETTING),
    };
    return true;
  }

  observe(seen: Observation): void {
    const { factors } = this;
    const cpu = seen.cpuMs / this.alone(seen.cpuAlone);
    const copied = seen.streamedMs / seen.copiesAlone;
    // Copies that ended unseen took at most as long as the CPU did.
    const copy = seen.streamedLast ? copied : Math.min(factors.copy, copied);
    const expected = seen.copiesAlone * factors.copy;
    const arrived = seen.streamedLast ? seen.streamedMs : Math.min(seen.streamedMs, expected);
    const behind = Math.max(0, seen.computedMs - arrived);
    // What was computed before the CPU was done took less.
    const seenTail = seen.computedMs > seen.cpuMs + SYNCHRONISE_MS ? behind : Math.min(factors.tail ?? 0, behind);
    const tail = factors.tail === undefined ? seenTail : factors.tail + LEARNING * (seenTail - factors.tail);
    const weight = weightOf(++this.seen.both);
    const { cpu: oldCpu, copy: oldCopy } = factors;
    this.factors = { ...factors, cpu: towards(oldCpu, cpu, weight), copy: towards(oldCopy, copy, weight), tail };
  }

  /** A call in which the CPU worked and nothing was copied. */
  observeAlone(cpuMs: number, expected: Expected): void {
    this.factors = { ...this.factors, alone: this.learntAlone(cpuMs, expected) };
  }

  private learntAlone(cpuMs: number, expected: Expected): Expected {
    if (this.fit) return this.fit.observe(expected, cpuMs);
    const both = towards(this.factors.alone.work, cpuMs / (expected.call + expected.work), LEARNING);
    return { call: both, work: both };
  }

  /** Milliseconds that the CPU takes while nothing is copied. */
  private alone({ call, work }: Expected): number {
    const { alone } = this.factors;
    return alone.call * call + alone.work * work;
  }

  observeComputing({ expected, computedMs, copiedMs, besideCpu }: Computing): void {
    const { accelerator, computing } = this.factors;
    const found = Math.max(0, computedMs - expected.call) / expected.work;
    // What waited for copies took less.
    const waited = copiedMs > MOSTLY * computedMs;
    const most = waited ? Math.min(accelerator, MOSTLY * found) : found;
    const told = this.seen.alone > 0; // what the CPU adds is told apart
    if (besideCpu && told && most > accelerator) {
      this.factors = { ...this.factors, computing: towards(computing, most / accelerator, LEARNING, 1) };
      return;
    }
    if (!besideCpu) this.seen.alone++;
    const alone = besideCpu && !told ? most / computing : most; // at most as long as beside the CPU
    const factor = towards(accelerator, alone, weightOf(++this.seen.computing));
    const less = besideCpu && told ? towards(computing, 1, LEARNING, 1) : computing;
    this.factors = { ...this.factors, accelerator: factor, computing: less };
  }
}

const MOSTLY = 0.8;
/** Costs may have been measured beside other programs; those of an accelerator hold what JavaScript takes before it is compiled. */
const LEAST = 0.1;

/** What was measured counts as one observation. */
function weightOf(observations: number): number {
  return Math.max(LEARNING, 1 / (1 + observations));
}

/** One call that met something else says little. */
function towards(old: number, found: number, weight: number, least = LEAST): number {
  return Math.min(8, Math.max(least, old + weight * (Math.min(found, 2 * old) - old)));
}

/** What a timed call showed, in milliseconds since it began. */
export interface LaneTimes {
  cpu: number;
  /** When the thread that waits saw the last copy done, and the accelerator. */
  streamed: number;
  resident: number;
  /** Copies were under way when the CPU was done. */
  streamedLast: boolean;
  /** The accelerator was waited for before the CPU, so that its times are its own and the CPU's is not. */
  acceleratorFirst: boolean;
}

/** The costs by which policies decide: measured when the model is loaded, contention corrected while running. */
export class LearntCosts {
  measured: Costs = NO_COSTS;
  /** By policy, for calls of one token and of several: their lanes work in different proportions, which teaches other things. */
  private readonly adaptations = new Map<string, { single: Adaptation; several: Adaptation }>();
  private policy = '';
  private adapts = false;
  /** As they are corrected at present. */
  private readonly corrected = new Map<Adaptation, Costs>();

  /** @param adapt corrects contention from now on */
  set(costs: Costs, adapt: boolean): void {
    this.measured = costs;
    this.adapts = adapt && costs.overlap;
    this.adaptations.clear();
    this.corrected.clear();
  }

  /** Calls are of that policy from now on. */
  use(policy: string): void {
    this.policy = policy;
  }

  /** What calls showed is forgotten. */
  forget(): void {
    this.set(this.measured, this.adapts);
  }

  private adaptation(tokens: number): Adaptation | undefined {
    if (!this.adapts) return undefined;
    let learnt = this.adaptations.get(this.policy);
    if (!learnt) {
      const { contention, several } = this.measured;
      const ofSeveral = several?.contention ?? contention;
      learnt = { single: new Adaptation(contention, true), several: new Adaptation(ofSeveral, false) };
      this.adaptations.set(this.policy, learnt);
    }
    return tokens === 1 ? learnt.single : learnt.several;
  }

  /** For a call of so many tokens. @param backlog milliseconds for which the link is still busy with earlier copies */
  for(tokens: number, backlog = 0): Costs {
    const learnt = this.adaptation(tokens);
    if (!learnt) return behind(inCallOf(this.measured, tokens), backlog);
    let costs = this.corrected.get(learnt);
    if (!costs) {
      // In calls of several tokens what comes is computed while more comes.
      const { tail = 0, ...factors } = learnt.current;
      costs = corrected(inCallOf(this.measured, tokens), factors, tokens === 1 ? tail : 0);
      this.corrected.set(learnt, costs);
    }
    return behind(costs, backlog);
  }

  /** Takes note of a call's plan, timed or not. */
  planned(lanes: Pick<Division, 'cpu' | 'streamed'>, tokens: number): void {
    const learnt = this.adaptation(tokens);
    if (learnt && !together(lanes) && learnt.forget()) this.corrected.delete(learnt);
  }

  /**
   * Learns from a timed call.
   * @param width inner rows of an expert
   * @param backlog milliseconds for which the link was still busy with earlier copies when it began
   */
  learn(division: Division, width: number, tokens: number, times: LaneTimes, backlog = 0): void {
    const { cpu, streamed, resident } = division;
    const learnt = this.adaptation(tokens);
    if (!learnt) return;
    this.corrected.delete(learnt);
    const costs = inCallOf(this.measured, tokens);
    const sum = (shares: readonly Share[], cost: (share: Share) => number) =>
      shares.reduce((total, share) => total + partOf(share, width) * cost(share), 0);
    if (times.acceleratorFirst) {
      const call = (resident.length && costs.calls.resident) + (streamed.length && costs.calls.streamed);
      const expected = { call, work: sum([...resident, ...streamed], (share) => costs.accelerator(share.tokens)) };
      const { resident: computedMs, streamed: copiedMs } = times;
      const besideCpu = cpu.length > 0;
      if (expected.work > 0) learnt.observeComputing({ expected, computedMs, copiedMs, besideCpu });
      return;
    }
    if (cpu.length === 0) return;
    const cpuAlone = { call: costs.calls.cpu, work: sum(cpu, (share) => costs.cpu(share.tokens)) };
    const { cpu: cpuMs, streamed: streamedMs, resident: computedMs, streamedLast } = times;
    const copies = streamed.filter(({ cached }) => !cached);
    const copiesAlone = (streamed.length > 0 ? backlog : 0) + sum(copies, () => costs.copy);
    if (copiesAlone === 0) learnt.observeAlone(cpuMs, cpuAlone);
    else learnt.observe({ cpuMs, computedMs, cpuAlone, copiesAlone, streamedMs, streamedLast });
  }
}

function corrected(costs: Costs, factors: Omit<Factors, 'tail'>, tail: number): Costs {
  const { cpu, copy, computing, alone, accelerator } = factors;
  const { calls } = costs;
  return {
    ...costs,
    calls: { ...calls, cpu: alone.call * calls.cpu, streamed: Math.max(calls.streamed, tail) },
    contention: { cpu, copy, computing },
    cpu: (tokens) => alone.work * costs.cpu(tokens),
    accelerator: (tokens) => accelerator * costs.accelerator(tokens),
  };
}

/** Whether the CPU computes while something is copied. */
function together({ cpu, streamed }: Pick<Division, 'cpu' | 'streamed'>): boolean {
  return cpu.length > 0 && streamed.some(({ cached }) => !cached);
}
