import { z } from 'zod';
import { costsOf, interpolate, type Sample } from '../experts/costs.js';
import type { Costs } from '../experts/policy.js';

/** Tokens of a process's first prompt from which on it takes the whole of `first` longer; of a shorter one the part. */
export const FIRST_PROMPT = 512;

const time = z.number().finite().nonnegative();
const sample = z.object({ tokens: z.int().positive(), ms: time });
const samples = z.array(sample);
const inContext = z.array(sample.extend({ past: z.int().nonnegative() }));
const lanes = z.object({ resident: time, streamed: time, cpu: time });
const contention = z.object({ cpu: z.number().positive(), copy: z.number().positive() });

/** What the pieces of a model take on a machine: measured, or read from a file, and then checked by this schema. */
export const ratesSchema = z.object({
  experts: z.object({
    calls: lanes,
    several: z
      .object({ calls: lanes, copy: time.optional(), contention: contention.optional(), handOver: time.optional() })
      .optional(),
    cpu: samples,
    accelerator: samples,
    copy: time.optional(),
    overlap: z.boolean(),
    contention,
    spread: time,
  }),
  /** A layer up to its routed experts, for calls of several tokens behind others: with routed experts, and without. */
  sparse: inContext,
  dense: inContext,
  /** What a call takes before its first layer. */
  begin: inContext,
  /** What a layer takes, in a call of one token, beyond these: with threads and caches that others have just used. */
  between: inContext,
  /**
   * By how much a process's first prompt takes longer than later ones, where it has {@link FIRST_PROMPT} tokens or more;
   * 0 where rates were measured at a load.
   */
  first: time,
  /** The logits of one token, and choosing the next by them. */
  head: time,
  /** The same for several at once; none where only one was measured. */
  heads: samples,
  /** Copying weights from RAM to where they are computed, a GB. */
  fill: time.optional(),
  /**
   * Share of the time in which others had the cores while this was measured, where that was much: `spread` is then as wide
   * as a machine without them would be faster.
   */
  crowded: z.number().min(0).max(1).optional(),
});
export type Rates = z.infer<typeof ratesSchema>;
export type ContextSample = Rates['begin'][number];

/** Milliseconds by tokens of a call and those before it: straight between what was measured. */
function inContextOf(measured: readonly ContextSample[]): (tokens: number, past: number) => number {
  if (measured.length === 0) return () => 0;
  const single = byPast(measured.filter((s) => s.tokens === 1));
  const pasts = new Set(measured.filter((s) => s.tokens > 1).map((s) => s.past));
  if (pasts.size === 0) return (_, past) => single(past);
  const calls = [...pasts].map((past) => ({ past, by: interpolate(measured.filter((s) => s.past === past)) }));
  const several = (tokens: number) => byPast(calls.map(({ past, by }) => ({ past, ms: by(tokens) })));
  return (tokens, past) => (tokens === 1 ? single(past) : several(tokens)(past));
}

function byPast(points: readonly { past: number; ms: number }[]): (past: number) => number {
  const sorted: Sample[] = points.map(({ past, ms }) => ({ tokens: past, ms }));
  return interpolate(sorted.sort((a, b) => a.tokens - b.tokens));
}

/**
 * Milliseconds of a call of one token of each of several sequences, by their number and the tokens before each: what one
 * takes behind those; what further rows take where nothing is before them, since weights are read once for all; and for
 * each further sequence what these tokens add to a call of one, since attention reads each one's own. A device that attends
 * to several at once is faster. Calls of several sequences are not measured: these are all of one.
 */
function togetherOf(measured: readonly ContextSample[]): (sequences: number, past: number) => number {
  const alone = inContextOf(measured);
  const first = Math.min(...measured.map(({ past }) => past));
  const rows = measured.filter(({ past }) => past === first);
  if (rows.length === 0) return alone;
  const ofRows = interpolate(rows);
  return (sequences, past) => {
    const one = alone(1, past);
    const context = Math.max(0, one - alone(1, first));
    return one + Math.max(0, ofRows(sequences) - ofRows(1)) + (sequences - 1) * context;
  };
}

/** What grows with a call, as functions of its tokens and those before them. */
interface Calls {
  sparse(tokens: number, past: number): number;
  dense(tokens: number, past: number): number;
  begin(tokens: number, past: number): number;
}

/** The rates as functions of what is asked of them. */
export interface Pace extends Calls {
  costs: Costs;
  /** The same of one token of each of so many sequences, see {@link togetherOf}. */
  together: Calls;
  between(tokens: number, past: number): number;
  first: number;
  /** By rows. */
  head(rows: number): number;
  spread: number;
}

export function paceOf({ experts, sparse, dense, begin, between, first, head, heads }: Rates): Pace {
  const ofHeads = interpolate([{ tokens: 1, ms: head }, ...heads]);
  return {
    costs: costsOf(experts),
    sparse: inContextOf(sparse),
    dense: inContextOf(dense),
    begin: inContextOf(begin),
    together: { sparse: togetherOf(sparse), dense: togetherOf(dense), begin: togetherOf(begin) },
    between: inContextOf(between),
    first,
    head: (rows) => (heads.length > 0 ? ofHeads(rows) : rows * head),
    spread: experts.spread,
  };
}

/** Milliseconds of a call of these layers, with routed experts and without, beside routed experts and the head. */
export function withoutExperts(
  pace: Pace,
  layers: { sparse: number; dense: number },
  tokens: number,
  past: number,
): number {
  const { sparse, dense } = layers;
  const pieces = sparse * pace.sparse(tokens, past) + dense * pace.dense(tokens, past);
  return pace.begin(tokens, past) + pieces + (sparse + dense) * pace.between(tokens, past);
}
