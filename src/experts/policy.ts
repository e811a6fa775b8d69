/** Where an expert can be computed: on the accelerator from its memory, there after a copy, or on the CPU. */
export const LANES = ['resident', 'streamed', 'cpu'] as const;
export type LaneName = (typeof LANES)[number];

/** An expert that a call's tokens were routed to. */
export interface Demand {
  expert: number;
  /** Tokens routed to it, at least 1. */
  tokens: number;
  resident: boolean;
}

/** One expert's work, given to a lane. */
export interface Share {
  expert: number;
  tokens: number;
  lane: LaneName;
}

/** What one expert costs on this machine, in milliseconds. */
export interface Costs {
  /** Computing it on the CPU for n tokens. */
  cpu(tokens: number): number;
  /** Copying its weights to the accelerator. */
  copy: number;
  /** Computing it on the accelerator for n tokens. */
  accelerator(tokens: number): number;
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
  decide(demand: readonly Demand[], costs: Costs): Share[];
}

/** A policy that decides each missing expert alone; resident ones are computed where they are. */
export function perExpert(
  policy: Pick<Policy, 'name' | 'summary' | 'streams' | 'byCost'>,
  missing: (tokens: number, costs: Costs) => LaneName,
): Policy {
  return {
    ...policy,
    decide: (demand, costs) =>
      demand.map(({ expert, tokens, resident }) => ({
        expert,
        tokens,
        lane: resident ? 'resident' : missing(tokens, costs),
      })),
  };
}
