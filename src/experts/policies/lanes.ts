import { laneTimes, makespan } from '../costs.js';
import { type Costs, cheaperLane, type Demand, type Policy, type Share, whole } from '../policy.js';
import { staticPolicy } from './static.js';
import { streamPolicy } from './stream.js';

/**
 * An expert is divided at multiples of this many inner rows, and of 1/32 of them, so that few shapes of graphs occur; a
 * piece takes at least so many milliseconds to copy, since another shape takes as long to be queued.
 */
const CUT_ROWS = 64;
const CUTS = 32;
const CUT_MS = 0.05;

/**
 * Divides a layer's missing experts over CPU and stream so that the later of the two ends earliest: the experts with
 * most tokens are streamed, those with fewest are computed on the CPU, and the one between is divided by rows. Those in
 * the cache are the first to be streamed, and are not divided: a part of them would have to be copied.
 */
export const lanesPolicy: Policy = {
  name: 'lanes',
  summary: 'all lanes at once: missing experts divided between CPU and stream so that both end together',
  streams: true,
  byCost: true,
  rival: staticPolicy,
  rivalForSeveral: streamPolicy,
  decide(demand, costs, width, together = 1) {
    const resident: Share[] = [];
    const missing: Demand[] = [];
    for (const d of demand) {
      if (d.resident) resident.push(whole(d, 'resident'));
      else missing.push(d);
    }
    if (missing.length === 0) return resident;
    missing.sort((a, b) => Number(a.cached) - Number(b.cached) || a.tokens - b.tokens);
    return [...resident, ...divide(missing, resident, costs, { width, together })];
  },
};

/** An expert's inner rows, and at which multiples of them it is divided. */
interface Cutting {
  width: number;
  together: number;
}

/**
 * The best of: all on the CPU, all streamed, or divided. `missing` is ordered by what is streamed last.
 * Where lanes wait for each other, so that times add up, divided means each where it costs least.
 */
function divide(missing: readonly Demand[], resident: readonly Share[], costs: Costs, by: Cutting): Share[] {
  const onCpu = missing.map((d) => whole(d, 'cpu'));
  if (costs.overlap && !streamPays(missing, costs)) return onCpu;
  const streamed = missing.map((d) => whole(d, 'streamed'));
  const divided = costs.overlap
    ? balanced(missing, resident, costs, by)
    : missing.map((d) => whole(d, cheaperLane(d, costs)));
  const plans = [onCpu, streamed, divided];
  const times = plans.map((plan) => makespan([...resident, ...plan], costs, by.width));
  return plans[times.indexOf(Math.min(...times))]!;
}

/** Whether what is streamed may be computed before the CPU would be done with all. */
function streamPays(missing: readonly Demand[], { calls, cpu, backlog = 0 }: Costs): boolean {
  let onCpu = calls.cpu;
  for (const { tokens, cached } of missing) {
    if (cached) return true;
    onCpu += cpu(tokens);
  }
  return onCpu > calls.streamed + backlog;
}

/** Where the CPU's part of the experts ends, so that it ends when the accelerator does: with the later of copies and computing. */
function balanced(missing: readonly Demand[], resident: readonly Share[], costs: Costs, by: Cutting): Share[] {
  const cpu = missing.map((d) => costs.cpu(d.tokens) * costs.contention.cpu);
  const copies = missing.map((d) => (d.cached ? 0 : costs.copy * costs.contention.copy));
  const { calls, backlog = 0, contention } = costs;
  const beside = contention.computing ?? 1;
  const computing = missing.map((d) => costs.accelerator(d.tokens) * beside);
  const total = (times: readonly number[], from: number) => times.reduce((sum, ms) => sum + ms, from);
  let before = calls.cpu * costs.contention.cpu;
  let arrived = total(copies, calls.streamed + backlog * costs.contention.copy);
  let computed = total(computing, (calls.streamed + laneTimes(resident, costs, by.width).resident) * beside);
  let at = 0;
  // The first expert with which the CPU would end later than the accelerator that has the rest.
  for (; at < missing.length; at++) {
    const after = Math.max(arrived - copies[at]!, computed - computing[at]!);
    if (before + cpu[at]! > after) break;
    before += cpu[at]!;
    arrived -= copies[at]!;
    computed -= computing[at]!;
  }
  const shares = missing.map((d, i) => whole(d, i < at ? 'cpu' : 'streamed'));
  if (at === missing.length || missing[at]!.cached) return shares;
  const part = (end: number, of: number) => (end - before) / (cpu[at]! + of);
  const fraction = Math.max(part(arrived, copies[at]!), part(computed, computing[at]!));
  shares.splice(at, 1, ...cut(missing[at]!, Math.min(1, Math.max(0, fraction)), costs, by));
  return shares;
}

/** The CPU takes the first `fraction` of the rows, of which each of the pieces has as many, a multiple of `least`. */
function cut(demand: Demand, fraction: number, costs: Costs, { width, together }: Cutting): Share[] {
  const pieces = Math.max(1, Math.min(CUTS, Math.floor((costs.copy * costs.contention.copy) / CUT_MS)));
  const least = Math.max(CUT_ROWS, together);
  const unit = Math.max(least, Math.round(width / pieces / least) * least);
  const rows = Math.min(width, Math.max(0, Math.round((fraction * width) / unit) * unit));
  if (rows === 0) return [whole(demand, 'streamed')];
  if (rows >= width) return [whole(demand, 'cpu')];
  return [
    { ...whole(demand, 'cpu'), range: { from: 0, to: rows } },
    { ...whole(demand, 'streamed'), range: { from: rows, to: width } },
  ];
}
