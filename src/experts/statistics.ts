import { type Division, LANES, type LaneName, partOf, type Share } from './policy.js';

/** What one lane did: expert executions (a divided expert counts by its parts), bytes of weights read or copied, and milliseconds. */
export interface LaneWork {
  experts: number;
  bytes: number;
  ms: number;
}

/** What the cache of streamed experts saved, and what copies ahead of need did. */
export interface CacheWork {
  /** Executions of streamed experts that found them in the cache, prefetched ones included. */
  hits: number;
  /** Experts copied ahead that the layer they were meant for then streamed, and those that it did not. */
  usefulPrefetches: number;
  wastedPrefetches: number;
}

interface Counted extends LaneWork {
  /** Executions that `ms` covers. */
  timed: number;
}

/** What was done since loading. */
export interface TotalWork {
  lanes: Record<LaneName, Omit<LaneWork, 'ms'>>;
  /** Executions that found their weights on the accelerator. */
  hits: number;
  /** Resident experts that were exchanged for missing ones. */
  exchanges: number;
}

/** Counts what the lanes did since the last reset, and how often each expert was chosen. */
export class Statistics {
  private counted = empty();
  /** Before the last reset. */
  private past = noTotal();
  cache = emptyCache();
  /** Resident experts that were exchanged for missing ones. */
  exchanges = 0;
  /** Tokens routed to each expert since loading, by layer. */
  readonly popularity: readonly Uint32Array[];
  /** Calls in which each expert was chosen since loading, by layer. */
  readonly executions: readonly Uint32Array[];

  constructor(experts: readonly number[]) {
    this.popularity = experts.map((count) => new Uint32Array(count));
    this.executions = experts.map((count) => new Uint32Array(count));
  }

  /** An expert was chosen for `tokens` tokens of a call. */
  chosen(layer: number, expert: number, tokens: number): void {
    this.popularity[layer]![expert]! += tokens;
    this.executions[layer]![expert]!++;
  }

  reset(): void {
    this.past = this.total;
    this.counted = empty();
    this.cache = emptyCache();
    this.exchanges = 0;
  }

  /** As if nothing had been computed since loading. */
  forget(): void {
    this.reset();
    this.past = noTotal();
    for (const counts of [...this.popularity, ...this.executions]) counts.fill(0);
  }

  /**
   * Counts what the lanes of a call ran.
   * @param width inner rows of an expert, and `bytes` of one
   * @param times milliseconds of each lane, undefined where it was not timed
   */
  ran(division: Division, width: number, bytes: number, times: Readonly<Record<LaneName, number | undefined>>): void {
    const sum = (shares: readonly Share[]) => shares.reduce((total, share) => total + partOf(share, width), 0);
    for (const lane of LANES) {
      const shares = division[lane];
      if (shares.length === 0) continue;
      const moved = shares.filter(({ cached }) => !cached);
      this.add(lane, sum(shares), sum(moved) * bytes, times[lane]);
    }
  }

  /** @param ms undefined where this call was not timed */
  add(lane: LaneName, experts: number, bytes: number, ms?: number): void {
    const work = this.counted[lane];
    work.experts += experts;
    work.bytes += bytes;
    if (ms === undefined) return;
    work.ms += ms;
    work.timed += experts;
  }

  /** Executions, bytes and milliseconds of each lane; where only some calls were timed, their time is scaled to all. */
  get lanes(): Record<LaneName, LaneWork> {
    const of = ({ experts, bytes, ms, timed }: Counted) => ({ experts, bytes, ms: timed ? (ms * experts) / timed : 0 });
    return { resident: of(this.counted.resident), streamed: of(this.counted.streamed), cpu: of(this.counted.cpu) };
  }

  /** Whatever was reset. */
  get total(): TotalWork {
    const { past, counted } = this;
    const of = (lane: LaneName) => ({
      experts: past.lanes[lane].experts + counted[lane].experts,
      bytes: past.lanes[lane].bytes + counted[lane].bytes,
    });
    return {
      lanes: { resident: of('resident'), streamed: of('streamed'), cpu: of('cpu') },
      hits: past.hits + counted.resident.experts + this.cache.hits,
      exchanges: past.exchanges + this.exchanges,
    };
  }

  /** Share of expert executions that found their weights on the accelerator. */
  get hitRate(): number {
    const all = LANES.reduce((sum, lane) => sum + this.counted[lane].experts, 0);
    return all === 0 ? 0 : (this.counted.resident.experts + this.cache.hits) / all;
  }
}

function empty(): Record<LaneName, Counted> {
  const none = () => ({ experts: 0, bytes: 0, ms: 0, timed: 0 });
  return { resident: none(), streamed: none(), cpu: none() };
}

function noTotal(): TotalWork {
  const none = () => ({ experts: 0, bytes: 0 });
  return { lanes: { resident: none(), streamed: none(), cpu: none() }, hits: 0, exchanges: 0 };
}

function emptyCache(): CacheWork {
  return { hits: 0, usefulPrefetches: 0, wastedPrefetches: 0 };
}
