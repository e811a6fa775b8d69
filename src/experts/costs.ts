import { type Costs, LANES, type LaneName, partOf, type SeveralCosts, type Share } from './policy.js';

/** For policies that do not ask. */
export const NO_COSTS: Costs = {
  calls: { resident: 0, streamed: 0, cpu: 0 },
  cpu: () => 0,
  copy: 0,
  accelerator: () => 0,
  overlap: false,
  contention: { cpu: 1, copy: 1 },
};

/** One measurement: milliseconds for an expert with this many tokens. */
export interface Sample {
  tokens: number;
  ms: number;
}

/** {@link Costs} as plain data that can be stored; milliseconds. */
export interface ExpertRates extends Pick<Costs, 'calls' | 'overlap' | 'contention'> {
  /** One expert more in the lane's call, by its tokens; ascending, none where the lane has nothing to do. */
  cpu: Sample[];
  accelerator: Sample[];
  /** Missing where no expert is copied. */
  copy?: number;
  /** Half the distance between the quartiles of repeated measurements, relative to their median: the median of all these. */
  spread: number;
  /** Missing where no call of several tokens was measured. */
  several?: SeveralCosts;
}

export function costsOf({ cpu, accelerator, copy = 0, calls, several, overlap, contention }: ExpertRates): Costs {
  const of = (samples: Sample[]) => (samples.length > 0 ? interpolate(samples) : () => 0);
  return { cpu: of(cpu), accelerator: of(accelerator), copy, calls, several, overlap, contention };
}

/** The costs in a call of so many tokens. */
export function inCallOf(costs: Costs, tokens: number): Costs {
  const { several, copy, contention } = costs;
  if (tokens === 1 || !several) return costs;
  return {
    ...costs,
    calls: several.calls,
    copy: several.copy ?? copy,
    contention: several.contention ?? contention,
    handOver: tokens * (several.handOver ?? 0),
  };
}

/** The same while the link is still busy with earlier copies for so many milliseconds. */
export function behind(costs: Costs, backlog: number): Costs {
  return backlog === 0 ? costs : { ...costs, backlog };
}

/** Milliseconds as a function of tokens: through the samples, straight between them and beyond the last. */
export function interpolate(samples: readonly Sample[]): (tokens: number) => number {
  if (samples.length === 1) return () => samples[0]!.ms;
  return (tokens) => {
    let i = 1;
    while (i < samples.length - 1 && samples[i]!.tokens < tokens) i++;
    const [a, b] = [samples[i - 1]!, samples[i]!];
    const slope = Math.max(0, (b.ms - a.ms) / (b.tokens - a.tokens));
    return Math.max(0, a.ms + slope * (tokens - a.tokens));
  };
}

/** What each lane of a plan takes by itself, under the cost model: milliseconds. */
export function laneTimes(plan: readonly Share[], costs: Costs, width: number): Record<LaneName | 'copies', number> {
  const times = { resident: 0, streamed: 0, cpu: 0, copies: 0 };
  const used = { resident: false, streamed: false, cpu: false };
  for (const share of plan) {
    const { lane, tokens } = share;
    const part = partOf(share, width);
    used[lane] = true;
    times[lane] += part * (lane === 'cpu' ? costs.cpu(tokens) : costs.accelerator(tokens));
    if (lane === 'streamed' && !share.cached) times.copies += part * costs.copy;
  }
  for (const lane of LANES) if (used[lane]) times[lane] += costs.calls[lane];
  return times;
}

/** Milliseconds until the last expert of a plan is computed, under the cost model. */
export function makespan(plan: readonly Share[], costs: Costs, width: number): number {
  const { cpu, copies, streamed, resident } = laneTimes(plan, costs, width);
  if (!costs.overlap) return cpu + copies + streamed + resident;
  const { contention, calls, backlog = 0, handOver = 0 } = costs;
  const computing = (streamed + resident) * (cpu > 0 ? (contention.computing ?? 1) : 1);
  const link = copies + (streamed > 0 ? backlog : 0);
  const both = cpu > 0 && link > 0;
  const arrived = link * (both ? contention.copy : 1) + (copies > 0 ? calls.streamed : 0);
  const accelerator = Math.max(arrived, computing);
  return Math.max(cpu * (both ? contention.cpu : 1), accelerator) + (cpu > 0 ? handOver : 0);
}
