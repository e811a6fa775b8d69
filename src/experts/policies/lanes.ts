import { makespan } from '../costs.js';
import { type Costs, cheaperLane, type Demand, type Policy, type Share, whole } from '../policy.js';

/** An expert is divided at multiples of this many inner rows, and of 1/32 of them, so that few shapes of graphs occur. */
const CUT_ROWS = 64;
const CUTS = 32;

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
  decide(demand, costs, width, together = 1) {
    const resident: Share[] = [];
    const missing: Demand[] = [];
    for (const d of demand) {
      if (d.resident) resident.push(whole(d, 'resident'));
      else missing.push(d);
    }
    if (missing.length === 0) return resident;
    missing.sort((a, b) => Number(a.cached) - Number(b.cached) || a.tokens - b.tokens);
    return [...resident, ...divide(missing, resident, costs, width, together)];
  },
};

/** The best of: all on the CPU, all streamed, or divided. `missing` is ordered by what is streamed last. */
function divide(
  missing: readonly Demand[],
  resident: readonly Share[],
  costs: Costs,
  width: number,
  together: number,
): Share[] {
  if (!costs.overlap) return inTurn(missing, costs);
  const onCpu = missing.map((d) => whole(d, 'cpu'));
  // Whatever is copied is computed later than the CPU is done with all.
  if (!missing.some(({ cached }) => cached) && cpuTime(missing, costs) <= costs.calls.streamed) return onCpu;
  const streamed = missing.map((d) => whole(d, 'streamed'));
  const plans = [onCpu, streamed, balanced(missing, costs, width, together)];
  const times = plans.map((plan) => makespan([...resident, ...plan], costs, width));
  return plans[times.indexOf(Math.min(...times))]!;
}

function cpuTime(missing: readonly Demand[], { calls, cpu }: Costs): number {
  let ms = calls.cpu;
  for (const { tokens } of missing) ms += cpu(tokens);
  return ms;
}

/** The same where lanes wait for each other, so that times add up: divided means each where it costs least. */
function inTurn(missing: readonly Demand[], costs: Costs): Share[] {
  const { calls, copy } = costs;
  let cpu = calls.cpu;
  let streamed = calls.streamed;
  let divided = cpu + streamed;
  for (const { tokens, cached } of missing) {
    const computed = costs.cpu(tokens);
    const copied = (cached ? 0 : copy) + costs.accelerator(tokens);
    cpu += computed;
    streamed += copied;
    divided += Math.min(computed, copied);
  }
  if (divided < Math.min(cpu, streamed)) return missing.map((d) => whole(d, cheaperLane(d, costs)));
  return missing.map((d) => whole(d, cpu <= streamed ? 'cpu' : 'streamed'));
}

function balanced(missing: readonly Demand[], costs: Costs, width: number, together: number): Share[] {
  const cpu = missing.map((d) => costs.cpu(d.tokens) * costs.contention.cpu);
  const copy = costs.copy * costs.contention.copy;
  const stream = missing.map((d) => Math.max(d.cached ? 0 : copy, costs.accelerator(d.tokens)));
  let before = costs.calls.cpu * costs.contention.cpu;
  let after = stream.reduce((sum, ms) => sum + ms, costs.calls.streamed);
  let at = 0;
  // The first expert with which the CPU would end later than the stream that has the rest.
  while (at < missing.length && before + cpu[at]! <= after - stream[at]!) {
    before += cpu[at]!;
    after -= stream[at]!;
    at++;
  }
  const shares = missing.map((d, i) => whole(d, i < at ? 'cpu' : 'streamed'));
  if (at === missing.length || missing[at]!.cached) return shares;
  const fraction = Math.min(1, Math.max(0, (after - before) / (cpu[at]! + stream[at]!)));
  shares.splice(at, 1, ...cut(missing[at]!, fraction, width, together));
  return shares;
}

/** The CPU takes the first `fraction` of the rows. */
function cut(demand: Demand, fraction: number, width: number, together: number): Share[] {
  const least = Math.max(CUT_ROWS, together);
  const unit = Math.max(least, Math.round(width / CUTS / least) * least);
  const rows = Math.min(width, Math.max(0, Math.round((fraction * width) / unit) * unit));
  if (rows === 0) return [whole(demand, 'streamed')];
  if (rows >= width) return [whole(demand, 'cpu')];
  return [
    { ...whole(demand, 'cpu'), range: { from: 0, to: rows } },
    { ...whole(demand, 'streamed'), range: { from: rows, to: width } },
  ];
}
