import type { Routes } from './assignments.js';
import { type ExpertRates, NO_COSTS, type Sample } from './costs.js';
import type { Experts } from './experts.js';
import type { Costs, LaneName, SeveralCosts, Share } from './policy.js';
import { delay, mean, type Patience, QUICK, repeat } from './repeat.js';
import type { ExpertsSpec } from './spec.js';

/** In a call of several tokens experts are measured beside others, as many as several tokens choose: together they are computed faster. */
const TOGETHER = 4;
/** Tokens of each expert where contention of such calls is measured, and how much longer than the CPU copies then last. */
const CONTENDING = 64;
const LONGER = 1.25;
/** Bytes of experts that no cache holds: a model's calls find none of theirs there. */
const BEYOND_CACHES = 2 ** 27;

/**
 * Measures what experts cost in each lane on this machine, alone and with all lanes running, by made-up calls of
 * layers that have experts for the lane. What is added to the hidden states is of no use afterwards.
 * @param attend computes another part of a layer for one token, as comes before its experts
 * @param onDelay told of every measurement how many times as long as at its fastest it took
 */
export function measureExperts(
  experts: Experts,
  layers: readonly ExpertsSpec[],
  sizes: { chunk: number; streams: boolean },
  patience = QUICK,
  attend: () => void = () => {},
  onDelay: (times: number) => void = () => {},
): ExpertRates {
  const meter = new Meter(experts, layers, sizes.chunk, patience, attend, onDelay);
  const missing = meter.groups((layer) => experts.resident.missing(layer));
  const [first] = missing ?? [];
  if (missing) meter.warmUp('cpu', missing, 1);
  const cpu = missing ? meter.lane('cpu', missing) : NOTHING;
  const streamed = missing && sizes.streams && experts.offloads ? meter.lane('streamed', missing) : NOTHING;
  const residents = experts.offloads ? meter.groups((layer) => experts.resident.of(layer)) : undefined;
  if (residents) meter.warmUp('resident', residents, Math.min(sizes.chunk, patience.tokens.at(-1)!));
  const resident = residents ? meter.lane('resident', residents) : afterCopy(streamed);
  const { overlaps: overlap } = experts;
  const calls = { resident: resident.call, streamed: streamed.call, cpu: cpu.call };
  // Where nothing overlaps, computing the expert came on top of its copy.
  const copyOf = (i: number) => {
    const { ms } = streamed.samples[i] ?? {};
    return ms === undefined ? undefined : Math.max(0, ms - (overlap ? 0 : (resident.samples[i]?.ms ?? 0)));
  };
  const copy = copyOf(0);
  const copyOfSeveral = copyOf(1) ?? copy;
  const both = overlap && missing && copy !== undefined && copyOfSeveral !== undefined;
  const contention = both ? meter.contention(missing, cpu, copy) : NO_COSTS.contention;
  const several: SeveralCosts = {
    calls: callsOfSeveral({ resident, streamed, cpu }),
    copy: copyOf(1),
    contention: both ? meter.contentionOfSeveral(missing, cpu, copyOfSeveral) : undefined,
    handOver: both ? handOver(layers[first!.layer]!, experts.bytesOf(first!.layer) / copyOfSeveral) : undefined,
  };
  const accelerator = resident.samples;
  return { cpu: cpu.samples, accelerator, copy, calls, several, overlap, contention, spread: meter.spread };
}

/**
 * So many hidden states of each token cross the link while nothing is computed: sums, and half of what experts read, since the
 * router chooses meanwhile.
 */
const HANDED_OVER = 1.5;

/** Milliseconds for a token. @param rate of the link, in bytes a millisecond */
function handOver({ hidden }: ExpertsSpec, rate: number): number {
  return rate > 0 ? (HANDED_OVER * 4 * hidden) / rate : 0;
}

interface LaneSamples {
  /** What a call of one token takes beside its experts, and one of several. */
  call: number;
  callOfSeveral?: number;
  samples: Sample[];
}

const NOTHING: LaneSamples = { call: 0, samples: [] };

function callsOfSeveral({ resident, streamed, cpu }: Record<LaneName, LaneSamples>): SeveralCosts['calls'] {
  const of = ({ call, callOfSeveral = call }: LaneSamples) => callOfSeveral;
  return { resident: of(resident), streamed: of(streamed), cpu: of(cpu) };
}

/** What the accelerator takes for an expert, by calls in which it was copied first. */
function afterCopy({ samples }: LaneSamples): LaneSamples {
  return { call: 0, samples: samples.map(({ tokens, ms }) => ({ tokens, ms: Math.max(0, ms - samples[0]!.ms) })) };
}

/** How many times as long as expected, within bounds. */
function slower(measured: number, expected: number): number {
  return Math.min(4, Math.max(1, measured / expected));
}

/** Experts of one layer. */
interface Group {
  layer: number;
  ids: readonly number[];
}

/** Times made-up calls of layers. */
class Meter {
  /** Calls so far, and experts in them. */
  private calls = 0;
  private turn = 0;
  private readonly spreads: number[] = [];

  constructor(
    private readonly experts: Experts,
    private readonly layers: readonly ExpertsSpec[],
    /** Most tokens of a call. */
    private readonly chunk: number,
    private readonly patience: Patience,
    private readonly attend: () => void,
    private readonly onDelay: (times: number) => void,
  ) {}

  /** Cores, memory and threads that were idle take a while to run at full speed, and JavaScript to be compiled. */
  warmUp(lane: LaneName, groups: readonly Group[], tokens: number): void {
    const begin = performance.now();
    while (performance.now() - begin < this.patience.limit)
      this.prepare(lane, groups, this.severalOf(groups, tokens), tokens)();
  }

  /** The first layers that have such experts, each with all of them: more than caches hold, where there are as many. */
  groups(expertsOf: (layer: number) => readonly number[]): readonly Group[] | undefined {
    const groups: Group[] = [];
    let bytes = 0;
    for (let layer = 0; layer < this.layers.length && bytes < BEYOND_CACHES; layer++) {
      const ids = expertsOf(layer);
      if (ids.length === 0) continue;
      groups.push({ layer, ids });
      bytes += ids.length * this.experts.bytesOf(layer);
    }
    return groups.length > 0 ? groups : undefined;
  }

  /** Experts of a call in which each has so many tokens: for one token as many as that chooses. */
  private severalOf(groups: readonly Group[], tokens: number): number {
    const most = (group: Group) => {
      const { chosen } = this.layers[group.layer]!;
      return Math.min(tokens > 1 ? TOGETHER * chosen : chosen, this.mostOf(group, tokens));
    };
    return Math.min(...groups.map(most));
  }

  /** Experts of a layer of which each can have so many tokens in a call. */
  private mostOf({ layer, ids }: Group, tokens: number): number {
    return Math.min(ids.length, Math.floor((this.chunk * this.layers[layer]!.chosen) / tokens));
  }

  /** One expert's milliseconds in a lane for growing numbers of tokens, until one call exceeds the limit; and its calls'. */
  lane(lane: LaneName, groups: readonly Group[]): LaneSamples {
    const samples: Sample[] = [];
    const calls: number[] = [];
    for (const tokens of this.patience.tokens.filter((n) => n <= this.chunk)) {
      const several = this.severalOf(groups, tokens);
      const alone = this.time(lane, groups, 1, tokens);
      // t(k) = call + k · expert
      const tooLong = several * alone > this.patience.limit && tokens > 1;
      const together = several > 1 && !tooLong ? this.time(lane, groups, several, tokens) : undefined;
      const beside = together === undefined ? (calls.at(-1) ?? 0) : (several * alone - together) / (several - 1);
      const call = Math.min(alone, Math.max(0, beside));
      calls.push(call);
      samples.push({ tokens, ms: Math.max(0, alone - call) });
      if (alone > this.patience.limit) break;
    }
    const ofSeveral = calls.slice(1).sort((a, b) => a - b);
    return { call: calls[0]!, callOfSeveral: ofSeveral[ofSeveral.length >> 1], samples };
  }

  /** A call that is ready to be made. */
  private prepare(lane: LaneName, groups: readonly Group[], count: number, tokens: number): () => void {
    const group = this.nextGroup(groups);
    const ids = Array.from({ length: count }, () => this.next(group));
    const plan = ids.map((expert): Share => ({ expert, tokens, lane }));
    const routes = this.routes(group.layer, ids, tokens);
    return () => {
      this.experts.measure(routes, plan);
      this.experts.wait();
    };
  }

  /** Milliseconds of calls with so many experts, each with all of the tokens. */
  private time(lane: LaneName, groups: readonly Group[], count: number, tokens: number): number {
    const prepare = () => this.prepare(lane, groups, count, tokens);
    let call = prepare();
    const between = () => {
      call = prepare();
      this.attend();
      this.experts.wait();
    };
    const times = repeat(this.patience, () => call(), between);
    this.onDelay(delay(times));
    const median = times[times.length >> 1]!;
    const quarter = times.length >> 2;
    this.spreads.push((times[times.length - 1 - quarter]! - times[quarter]!) / 2 / median);
    return mean(times);
  }

  get spread(): number {
    return this.spreads.sort((a, b) => a - b)[this.spreads.length >> 1] ?? 0;
  }

  /** How many times longer a call's single-token experts take on the CPU, and copies, while both lanes run. */
  contention(groups: readonly Group[], { call, samples }: LaneSamples, copyMs: number): Costs['contention'] {
    const onCpu = this.severalOf(groups, 1);
    const alone = call + onCpu * samples[0]!.ms;
    const streamed = Math.max(1, Math.min(onCpu, Math.round(alone / copyMs)));
    const rounds = Math.max(2, Math.ceil(this.patience.limit / alone));
    const begin = performance.now();
    // The CPU's kernels compute only what tokens are routed to; more than the token chooses are copied.
    for (let i = 0; i < rounds; i++) this.inBoth(groups, { cpu: onCpu, streamed }, 1, onCpu);
    const together = performance.now() - begin;
    this.experts.wait();
    const after = performance.now() - begin - together;
    const copiedTogether = Math.max(1, rounds * streamed - after / copyMs);
    return { cpu: slower(together / rounds, alone), copy: slower(together / copiedTogether, copyMs) };
  }

  /**
   * The same for experts of several tokens, of which each call is waited for: the next one frees its graphs. Copies last a
   * little longer than the CPU, so that their end is the call's. Undefined where no layer has experts enough for both.
   */
  contentionOfSeveral(groups: readonly Group[], cpu: LaneSamples, copyMs: number): Costs['contention'] | undefined {
    const sample = cpu.samples.find(({ tokens }) => tokens === CONTENDING);
    if (!sample) return undefined;
    const most = groups.map((group) => this.mostOf(group, CONTENDING));
    const all = Math.min(...most, 2 * this.severalOf(groups, CONTENDING));
    const call = cpu.callOfSeveral ?? cpu.call;
    const onCpu = Math.floor((all * copyMs - LONGER * call) / (LONGER * sample.ms + copyMs));
    if (onCpu < 1) return undefined;
    const [alone, streamed] = [call + onCpu * sample.ms, all - onCpu];
    const rounds = Math.max(2, Math.ceil(this.patience.limit / (streamed * copyMs)));
    let [computed, done] = [0, 0];
    for (let i = 0; i < rounds; i++) {
      const begin = performance.now();
      this.inBoth(groups, { cpu: onCpu, streamed }, CONTENDING, all);
      computed += performance.now() - begin;
      this.experts.wait();
      done += performance.now() - begin;
    }
    return { cpu: slower(computed / rounds, alone), copy: slower(done / rounds, streamed * copyMs) };
  }

  /** A call with so many experts in both lanes, the first `routed` of which have tokens. */
  private inBoth(
    groups: readonly Group[],
    of: Record<'cpu' | 'streamed', number>,
    tokens: number,
    routed: number,
  ): void {
    const group = this.nextGroup(groups);
    const shares = (lane: 'cpu' | 'streamed') =>
      Array.from({ length: of[lane] }, (): Share => ({ expert: this.next(group), tokens, lane }));
    const plan = [...shares('cpu'), ...shares('streamed')];
    const ids = plan.slice(0, routed).map(({ expert }) => expert);
    this.experts.measure(this.routes(group.layer, ids, tokens), plan);
  }

  private nextGroup(groups: readonly Group[]): Group {
    return groups[this.calls++ % groups.length]!;
  }

  private next({ ids }: Group): number {
    return ids[this.turn++ % ids.length]!;
  }

  /** Routes of a call in which each of these experts has so many tokens: of more experts than a token chooses, each token has some. */
  private routes(layer: number, ids: readonly number[], each: number): Routes {
    const { chosen } = this.layers[layer]!;
    const tokens = Math.ceil((each * ids.length) / Math.min(chosen, ids.length));
    const experts = new Int32Array(tokens * chosen).fill(-1);
    const weights = new Float32Array(tokens * chosen);
    for (let i = 0; i < each * ids.length; i++) {
      const place = (i % tokens) * chosen + Math.floor(i / tokens);
      experts[place] = ids[Math.floor(i / each)]!;
      weights[place] = 1;
    }
    return { layer, tokens, chosen, experts, weights };
  }
}
