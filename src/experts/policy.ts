import type { RowRange } from './expert.js';

/** Where an expert can be computed: on the accelerator from its memory, there after a copy, or on the CPU. */
export const LANES = ['resident', 'streamed', 'cpu'] as const;
export type LaneName = (typeof LANES)[number];

/** An expert that a call's tokens were routed to. */
export interface Demand {
  expert: number;
  /** Tokens routed to it, at least 1. */
  tokens: number;
  /** Its weights are on the accelerator. */
  resident: boolean;
  /** A copy is in the accelerator's cache of streamed experts, so that streaming it whole needs no other. */
  cached: boolean;
}

/** One expert's work, or part of it, given to a lane. */
export interface Share {
  expert: number;
  tokens: number;
  lane: LaneName;
  /** The inner rows that this lane computes; undefined is all of them. */
  range?: RowRange;
  /** It is streamed from the cache, which costs no copy. */
  cached?: true;
}

/** A layer's shares, by the lane that runs them. */
export type Division = Record<LaneName, readonly Share[]>;

export function byLane(plan: readonly Share[]): Division {
  const of = (lane: LaneName) => plan.filter((share) => share.lane === lane);
  const streamed = of('streamed');
  const cached = streamed.filter((share) => share.cached);
  const missing = streamed.filter((share) => !share.cached);
  // What is cached is computed before a copy takes its slot.
  return { resident: of('resident'), streamed: [...cached, ...missing], cpu: of('cpu') };
}

/** The part of its expert that a share is, 0 to 1. @param width inner rows of an expert */
export function partOf({ range }: Share, width: number): number {
  return range ? (range.to - range.from) / width : 1;
}

/** What differs in calls of several tokens, whose graphs are built for each and whose experts are copied in batches. */
export interface SeveralCosts {
  calls: Record<LaneName, number>;
  copy?: number;
  contention?: Costs['contention'];
  /** Milliseconds for each token of the call by which it ends later where the CPU takes part: see Costs. */
  handOver?: number;
}

/** What one expert costs on this machine, in milliseconds. */
export interface Costs {
  /** What a lane takes in a call beside its experts. */
  calls: Record<LaneName, number>;
  /** Computing it on the CPU for n tokens. */
  cpu(tokens: number): number;
  /** Copying its weights to the accelerator. */
  copy: number;
  /** Computing it on the accelerator for n tokens. */
  accelerator(tokens: number): number;
  /** In a call of several tokens, where that differs: what a lane takes beside its experts, copying one, and contention. */
  several?: SeveralCosts;
  /** For so long the link is still busy with earlier copies, those of cached experts among them; 0 by default. */
  backlog?: number;
  /**
   * Milliseconds by which a call ends later where the CPU takes part, whatever it computes: what experts read comes to it, and
   * its sums are added behind all that the accelerator computes; 0 by default.
   */
  handOver?: number;
  /** Copies run while the CPU computes. */
  overlap: boolean;
  /**
   * How many times longer the CPU and a copy take while both run: they share the memory bus. And the accelerator's computing
   * while the CPU works, 1 by default: the thread that queues it shares caches and cores with that.
   */
  contention: { cpu: number; copy: number; computing?: number };
}

/** Decides where each missing expert is computed; pure, so that it can be tested and simulated. */
export interface Policy {
  name: string;
  /** One line for the help. */
  summary: string;
  /** It may send experts to the streamed lane, which takes slots on the accelerator. */
  streams: boolean;
  /** It decides by costs, which are then measured when the model is loaded. */
  byCost: boolean;
  /** Experts are copied ahead of the layer that needs them, unless that is switched off. */
  prefetches?: boolean;
  /** In its place this one serves calls of one token where whole passes are faster by it ({@link Rivals}). */
  rival?: Policy;
  /** And this one calls of several tokens where layers are faster by it ({@link LayerRivals}). */
  rivalForSeveral?: Policy;
  /**
   * Gives each resident expert to its own lane, whole: it may be computed before this is asked.
   * @param width inner rows of an expert
   * @param together divides it only at multiples of so many, a power of two; 1 by default
   */
  decide(demand: readonly Demand[], costs: Costs, width: number, together?: number): Share[];
}

/** A policy that decides each missing expert alone; resident ones are computed where they are. */
export function perExpert(
  policy: Pick<Policy, 'name' | 'summary' | 'streams' | 'byCost' | 'prefetches'>,
  missing: (demand: Demand, costs: Costs) => LaneName,
): Policy {
  return {
    ...policy,
    decide: (demand, costs) => demand.map((d) => whole(d, d.resident ? 'resident' : missing(d, costs))),
  };
}

/** All of an expert, given to one lane. */
export function whole({ expert, tokens, cached }: Demand, lane: LaneName): Share {
  return cached && lane === 'streamed' ? { expert, tokens, lane, cached } : { expert, tokens, lane };
}

/** Where a missing expert costs least. */
export function cheaperLane({ tokens, cached }: Demand, costs: Costs): LaneName {
  const copy = cached ? 0 : costs.copy;
  return costs.cpu(tokens) <= copy + costs.accelerator(tokens) ? 'cpu' : 'streamed';
}

/** Computes every expert where its weights are. */
export function inPlace(demand: readonly Demand[]): Share[] {
  return demand.map(({ expert, tokens, resident }) => ({ expert, tokens, lane: resident ? 'resident' : 'cpu' }));
}
