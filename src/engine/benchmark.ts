import { policyNamed } from '../experts/policies/index.js';
import type { LaneName } from '../experts/policy.js';
import type { LaneWork } from '../experts/statistics.js';
import type { Session } from './session.js';

/** What is timed: decoding one token after another behind `past` tokens, or one prompt of `tokens` from nothing. */
export interface Workload {
  kind: 'decode' | 'prefill';
  tokens: number;
  past: number;
}

/** One policy on one workload. Seconds are of a whole run: median, fastest, slowest. */
export interface Measurement extends Workload {
  policy: string;
  runs: number;
  seconds: { median: number; min: number; max: number };
  /** Tokens a second at the median. */
  rate: number;
  /** Of the median run's work, by lane. */
  lanes: Record<LaneName, LaneWork>;
  /** Bytes of expert weights that the CPU read and the link carried, a second. */
  expertBytesPerSecond: number;
}

export interface BenchmarkOptions {
  policies: readonly string[];
  workloads: readonly Workload[];
  repeats: number;
  /** A workload that takes a policy longer than this, in seconds, is run once. */
  patience: number;
  onRun?: (policy: string, workload: Workload, seconds: number) => void;
}

interface Run {
  seconds: number;
  lanes: Record<LaneName, LaneWork>;
}

/** Compares policies on one loaded model: interleaved, so that a machine that drifts does so for all alike. */
export function benchmark(session: Session, options: BenchmarkOptions): Measurement[] {
  const { policies, workloads, repeats, patience, onRun } = options;
  const found: Measurement[] = [];
  for (const workload of workloads) {
    const runs = new Map(policies.map((policy) => [policy, [] as Run[]]));
    for (let repeat = 0; repeat <= repeats; repeat++) {
      for (const [policy, done] of runs) {
        if (done.some((run) => run.seconds > patience)) continue;
        session.use(policyNamed(policy));
        const run = timed(session, workload);
        onRun?.(policy, workload, run.seconds);
        // The first run of a short workload builds graphs and warms caches.
        if (repeat > 0 || run.seconds > patience) done.push(run);
      }
    }
    for (const [policy, done] of runs) found.push(summary(policy, workload, done));
  }
  return found;
}

function timed(session: Session, { kind, tokens, past }: Workload): Run {
  const { vocabulary } = session.info;
  const ids = Array.from({ length: tokens }, (_, i) => (i * 7919 + 17) % vocabulary);
  session.resetStatistics();
  const begin = performance.now();
  if (kind === 'prefill') session.prefill(ids, past);
  else for (const [i, id] of ids.entries()) session.step([id], past + i);
  const seconds = (performance.now() - begin) / 1000;
  return { seconds, lanes: session.lanes };
}

function summary(policy: string, workload: Workload, runs: readonly Run[]): Measurement {
  const sorted = [...runs].sort((a, b) => a.seconds - b.seconds);
  const median = sorted[sorted.length >> 1]!;
  const moved = median.lanes.cpu.bytes + median.lanes.streamed.bytes;
  return {
    ...workload,
    policy,
    runs: runs.length,
    seconds: { median: median.seconds, min: sorted[0]!.seconds, max: sorted.at(-1)!.seconds },
    rate: workload.tokens / median.seconds,
    lanes: median.lanes,
    expertBytesPerSecond: moved / median.seconds,
  };
}

/** Median microseconds a layer takes in decoding without its routed experts, behind `past` tokens. */
export function layerMicroseconds(session: Session, past: number, steps = 20): number {
  const times: number[] = [];
  for (let i = 0; i < steps; i++) {
    const begin = performance.now();
    const layers = session.stepWithoutExperts([1], past + i);
    times.push(((performance.now() - begin) * 1000) / layers);
  }
  return times.sort((a, b) => a - b)[times.length >> 1]!;
}
