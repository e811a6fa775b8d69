import type { Limit } from '../report.js';
import { FIRST_PROMPT, type Pace } from './rates.js';
import { type Part, type Scenario, Simulation, type Spent, sum } from './simulation.js';

/** Tokens decoded in a prediction, after as many that only fill the cache. */
const STEPS = 48;
/** Calls at least, where one decodes several of them: what they draw differs less. */
const LEAST_CALLS = 24;
/** What the model of costs leaves out, relative to the whole. */
const MODEL_ERROR = 0.1;

/** Milliseconds of one call, or of a prompt's. */
export interface Prediction {
  ms: number;
  /**
   * Between these, as many times faster or slower: by what repeated measurements and random routing differ, and what the
   * model leaves out.
   */
  low: number;
  high: number;
  /** Of `ms`: all but routed experts; the rest is waiting for them. */
  others: number;
  limit: Limit;
  /** Share of expert executions that find their weights on the accelerator. */
  hitRate: number;
}

/** Predicts a call that decodes one token of each of `sequences`, each behind `past` others. */
export function predictDecode(scenario: Scenario, past: number, sequences = 1): Prediction {
  const { pace, slots } = scenario;
  const several = sequences > 1 && pace.costs.overlap;
  const together = { ...scenario, pace: { ...pace, ...pace.together } };
  const run = new Simulation(together, several ? slots.several : slots.one);
  const { decoder } = partsOf(scenario);
  const others = run.others(decoder, sequences, past) + pace.head(sequences);
  const calls = Math.max(LEAST_CALLS, Math.ceil(STEPS / sequences));
  for (let i = 0; i < calls; i++) run.experts(decoder, sequences, past);
  const steps = Array.from({ length: calls }, () => run.experts(decoder, sequences, past));
  const spent = sum(steps);
  const mean = spent.ms / calls;
  const variance = steps.reduce((total, { ms }) => total + (ms - mean) ** 2, 0) / calls;
  return conclude(pace, others, { ...spent, ms: mean, by: scaled(spent.by, 1 / calls) }, Math.sqrt(variance / calls));
}

/** Predicts a prompt of `tokens` from an empty KV cache to the first token's logits. */
export function predictPrefill(scenario: Scenario, tokens: number): Prediction {
  const run = new Simulation(scenario, tokens > 1 ? scenario.slots.several : scenario.slots.one);
  const { pace, chunk, fresh } = scenario;
  let others = pace.head(1) + (fresh ? pace.first * Math.min(1, tokens / FIRST_PROMPT) : 0);
  const calls: Spent[] = [];
  const call = (part: Part, count: number, past: number) => {
    others += run.others(part, count, past);
    calls.push(run.experts(part, count, past));
  };
  const { encoder, decoder } = partsOf(scenario);
  if (encoder) {
    call(encoder, tokens, 0);
    call(decoder, 1, 0);
  } else for (let past = 0; past < tokens; past += chunk) call(decoder, Math.min(chunk, tokens - past), past);
  return conclude(pace, others, sum(calls), 0);
}

function partsOf({ layers, denseLayers, encoder }: Scenario): { encoder?: Part; decoder: Part } {
  const { sparse, dense } = encoder ?? { sparse: 0, dense: 0 };
  const decoder = { from: sparse, to: layers.length, dense: denseLayers - dense };
  return encoder ? { encoder: { from: 0, to: sparse, dense }, decoder } : { decoder };
}

function conclude({ spread }: Pace, others: number, spent: Spent, deviation: number): Prediction {
  const ms = others + spent.ms;
  const by = { ...spent.by, accelerator: spent.by.accelerator + others };
  const limit = (Object.keys(by) as Limit[]).reduce((a, b) => (by[b] > by[a] ? b : a));
  const error = Math.hypot(ms * spread, ms * MODEL_ERROR, deviation);
  const times = ms > 0 ? 1 + error / ms : 1;
  return {
    ms,
    low: ms / times,
    high: ms * times,
    others,
    limit,
    hitRate: spent.executions === 0 ? 0 : spent.hits / spent.executions,
  };
}

function scaled(by: Record<Limit, number>, factor: number): Record<Limit, number> {
  return Object.fromEntries(Object.entries(by).map(([k, ms]) => [k, ms * factor])) as Record<Limit, number>;
}
