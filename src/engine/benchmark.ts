import type { Caching } from '../experts/experts.js';
import { policyNamed } from '../experts/policies/index.js';
import type { LaneName } from '../experts/policy.js';
import type { CacheWork, LaneWork } from '../experts/statistics.js';
import type { Workbench } from './workbench.js';

/**
 * What is timed: decoding one token after another behind `past` tokens, for several sequences at once where `sequences`
 * says so; or one prompt of `tokens` from nothing.
 */
export interface Workload {
  kind: 'decode' | 'prefill';
  /** Of each sequence. */
  tokens: number;
  past: number;
  sequences?: number;
}

/** What is compared: a policy, as it is loaded or with the expert cache and prefetch switched on or off. */
export interface Contender extends Caching {
  policy: string;
}

/** One contender on one workload. Seconds are of a whole run: median, fastest, slowest. */
export interface Measurement extends Workload, Contender {
  runs: number;
  seconds: { median: number; min: number; max: number };
  /** Tokens a second at the median, of all sequences in sum. */
  rate: number;
  /** What a plan says of it, where costs were measured. */
  predicted?: number;
  /** Of the median run's work, by lane. */
  lanes: Record<LaneName, LaneWork>;
  /** What the cache of streamed experts did in that run. */
  saved: CacheWork;
  /** Bytes of expert weights that the CPU read and the link carried, a second. */
  expertBytesPerSecond: number;
  /** The same a token of any sequence. */
  expertBytesPerToken: number;
  /** Different experts a call of decoding, in all layers. */
  expertsPerStep?: number;
}

export interface BenchmarkOptions {
  contenders: readonly Contender[];
  workloads: readonly Workload[];
  repeats: number;
  /** A workload that takes a policy longer than this, in seconds, is run once. */
  patience: number;
  onRun?: (contender: Contender, workload: Workload, seconds: number) => void;
}

interface Run {
  seconds: number;
  lanes: Record<LaneName, LaneWork>;
  saved: CacheWork;
}

/** Each policy as it is loaded; with `caching`, those that stream with the expert cache and prefetch on and off. */
export function contendersOf(policies: readonly string[], caching: boolean): Contender[] {
  const switched = [false, true].flatMap((prefetch) => [false, true].map((cache) => ({ cache, prefetch })));
  return policies.flatMap((policy) =>
    caching && policyNamed(policy).streams ? switched.map((each) => ({ policy, ...each })) : [{ policy }],
  );
}

/** A contender's name in tables and plots. */
export function contenderName({ policy, cache, prefetch }: Contender): string {
  return `${policy}${cache ? ' +cache' : ''}${prefetch ? ' +prefetch' : ''}`;
}

/**
 * Compares policies on one loaded model: in turn, so that a machine that drifts does so for all alike, each behind each.
 * Each run has other tokens, so that none finds experts of its own made resident by the one before; all contenders have the
 * same prompts, since of random weights one prompt uses half as many experts again as another.
 */
export function benchmark(session: Workbench, options: BenchmarkOptions): Measurement[] {
  const { contenders, workloads, repeats, patience, onRun } = options;
  const found: Measurement[] = [];
  const tokens = new MadeUpTokens(session.info.vocabulary);
  const logits = new Float32Array(session.info.vocabulary); // first written, pages are made
  const timed = (workload: Workload, ids: readonly number[]) => timedRun(session, workload, ids, logits);
  for (const workload of workloads) {
    // Only in decoding are guesses copied ahead.
    const compared = contenders.filter((c) => workload.kind === 'decode' || c.cache === undefined || !c.prefetch);
    const runs = new Map(compared.map((contender) => [contender, [] as Run[]]));
    const idsOf = idsFor(workload, repeats, tokens);
    if (workload.kind === 'decode') fillContext(session, workload, tokens);
    for (let repeat = 0; repeat <= repeats; repeat++) {
      for (const [contender, done] of rotated([...runs], repeat)) {
        if (done.some((run) => run.seconds > patience)) continue;
        session.use(policyNamed(contender.policy), undefined, contender);
        // In decoding, the expert cache holds what many tokens left there.
        if (session.caches && contender.cache !== false && workload.kind === 'decode') timed(workload, idsOf());
        const run = timed(workload, idsOf(repeat, compared.indexOf(contender)));
        onRun?.(contender, workload, run.seconds);
        // The first run of a short workload builds graphs and warms caches.
        if (repeat > 0 || run.seconds > patience) done.push(run);
      }
    }
    for (const [contender, done] of runs) {
      session.use(policyNamed(contender.policy), undefined, contender);
      found.push({ ...summary(contender, workload, done), predicted: predicted(session, workload) });
    }
  }
  return found;
}

/** Another begins each time: the one behind a slow one finds other caches and clocks than the rest. */
export function rotated<T>(all: readonly T[], round: number): T[] {
  const first = round % all.length;
  return [...all.slice(first), ...all.slice(0, first)];
}

/** Tokens from all over a vocabulary, each time those that follow. */
class MadeUpTokens {
  private drawn = 0;

  constructor(private readonly vocabulary: number) {}

  next(count: number): number[] {
    return Array.from({ length: count }, () => (this.drawn++ * 7919 + 17) % this.vocabulary);
  }
}

/** Gives the tokens of each run: in counted runs of prefill the same prompts for each contender, in another order. */
function idsFor({ kind, tokens, sequences = 1 }: Workload, repeats: number, madeUp: MadeUpTokens) {
  const next = () => madeUp.next(tokens * sequences);
  const prompts = kind === 'prefill' ? Array.from({ length: repeats }, next) : [];
  return (repeat = 0, contender = 0): number[] => {
    if (repeat === 0 || prompts.length === 0) return next();
    return prompts[(repeat - 1 + contender * (prompts.length - 1)) % prompts.length]!;
  };
}

/** Of the tokens before those that are decoded, at most so many are computed, the last ones. */
const MOST_BEFORE = 4096;

/** Routers choose by what a token attends to: it is computed once, and each run decodes behind it. */
function fillContext(session: Workbench, { past, sequences = 1 }: Workload, madeUp: MadeUpTokens): void {
  const count = Math.min(past, MOST_BEFORE);
  if (count === 0) return;
  for (let slot = 0; slot < sequences; slot++) session.fill(madeUp.next(count), past - count, slot);
}

function timedRun(
  session: Workbench,
  { kind, tokens, past, sequences = 1 }: Workload,
  ids: readonly number[],
  logits: Float32Array,
): Run {
  session.resetStatistics();
  const begin = performance.now();
  if (kind === 'prefill') session.prefill(ids, past, logits);
  else if (sequences === 1) for (const [i, id] of ids.entries()) session.step([id], past + i, logits);
  else for (let i = 0; i < tokens; i++) session.stepTogether(ids.slice(i * sequences, (i + 1) * sequences), past + i);
  const seconds = (performance.now() - begin) / 1000;
  return { seconds, lanes: session.lanes, saved: session.cache };
}

function predicted(session: Workbench, { kind, tokens, past, sequences = 1 }: Workload): number | undefined {
  if (kind === 'decode' && sequences > 1) return session.expectedTogether(sequences, past + (tokens >> 1));
  if (kind === 'decode') return session.expected(1, past + (tokens >> 1))?.decodeRate.value;
  const ttft = session.expected(tokens, past)?.ttft.value;
  return ttft && tokens / ttft;
}

function summary(contender: Contender, workload: Workload, runs: readonly Run[]): Measurement {
  const sorted = [...runs].sort((a, b) => a.seconds - b.seconds);
  const median = sorted[sorted.length >> 1]!;
  const { resident, streamed, cpu } = median.lanes;
  const moved = cpu.bytes + streamed.bytes;
  const tokens = workload.tokens * (workload.sequences ?? 1);
  return {
    ...workload,
    ...contender,
    runs: runs.length,
    seconds: { median: median.seconds, min: sorted[0]!.seconds, max: sorted.at(-1)!.seconds },
    rate: tokens / median.seconds,
    lanes: median.lanes,
    saved: median.saved,
    expertBytesPerSecond: moved / median.seconds,
    expertBytesPerToken: moved / tokens,
    ...(workload.kind === 'decode' && {
      expertsPerStep: (resident.experts + streamed.experts + cpu.experts) / workload.tokens,
    }),
  };
}

/** Median microseconds a layer takes in decoding without its routed experts, behind `past` tokens. */
export function layerMicroseconds(session: Workbench, past: number, steps = 20): number {
  const times: number[] = [];
  for (let i = 0; i < steps; i++) {
    const begin = performance.now();
    const layers = session.stepWithoutExperts([1], past + i);
    times.push(((performance.now() - begin) * 1000) / layers);
  }
  return times.sort((a, b) => a - b)[times.length >> 1]!;
}
