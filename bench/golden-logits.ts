import type { Workbench } from '#fiddler/engine/workbench.js';
import type { GoldenCase } from './golden-data.js';
import { NearTies } from './near-ties.js';

/**
 * What logits are held to, NaN never passing: the largest difference of one, or the normalised mean squared error of all;
 * `rounds` says that hidden states are rounded to bfloat16.
 */
export type Tolerance = { largest: number } | { nmse: number; rounds: boolean };

/** @param deviation standard deviation of the expected logits */
export function toleranceOf(deviation: number, accelerator: string, dtype: 'auto' | 'f32'): Tolerance {
  if (dtype === 'auto') return { nmse: 1e-3, rounds: true };
  // Its kernels add in another order, and its caches are float16.
  if (accelerator === 'cuda') return { nmse: 1e-5, rounds: false };
  return { largest: 1e-3 * Math.max(1, deviation) };
}

export interface LogitsComparison {
  /** Largest difference of a logit, and the normalised mean squared error, of the positions that count. */
  largest: number;
  nmse: number;
  /** Positions whose likeliest token was compared. */
  decided: number;
  /** Positions left out, each with the reason. */
  excluded: string[];
  problems: string[];
}

interface Position {
  position: number;
  /** Sums of squares. */
  errors: number;
  squares: number;
  largest: number;
  /** Distance of the reference's two best logits. */
  margin: number;
  sameBest: boolean;
}

/** More positions left out than this share would hide an error. */
const MOST_EXCLUDED = 0.1;
/** Normalised squared error of a position behind one that is left out, to which it attends. */
const BEHIND = 1e-4;
/** A logit is off by less than so many times their root mean square error, as normally distributed errors are. */
const DEVIATIONS = 4;

/**
 * Compares the logits and the likeliest token at every position. Where a router nearly tied, rounding may turn its
 * choice: such a position is left out of the mean squared error if it exceeds that by itself, where the type rounds. So is
 * one where an indexer's choice ties, which in float32 it does where none of its heads sees anything; and one behind it
 * whose choice hangs on less than what it is held to there.
 */
export function compareLogits(
  session: Pick<Workbench, 'evaluate' | 'observeRouters' | 'observeIndexers'>,
  golden: GoldenCase,
  tolerance: Tolerance,
): LogitsComparison {
  const byError = 'nmse' in tolerance;
  const ties = new NearTies(byError && tolerance.rounds);
  session.observeIndexers(ties.onChosen);
  // What an encoder's routers are asked is not of these positions.
  if (byError && tolerance.rounds && !golden.source) session.observeRouters(ties.onRouted);
  const all: Position[] = [];
  const collect = (position: number, logits: Float32Array) => all.push(comparePosition(golden, position, logits));
  session.evaluate(golden.tokens, () => false, collect, golden.source);
  session.observeRouters(undefined);
  session.observeIndexers(undefined);
  const problems: string[] = [];
  if (all.length !== golden.tokens.length)
    problems.push(`${all.length} of ${golden.tokens.length} positions are there`);
  const excluded: string[] = [];
  let first = Infinity;
  const kept = all.filter(({ position, errors, squares, largest }) => {
    const off = byError ? errors / squares >= tolerance.nmse : largest > tolerance.largest;
    const beyond = !byError && position > first && errors / squares >= BEHIND;
    const tie = off
      ? (ties.at(position) ?? (beyond ? ties.within(position, Math.sqrt(BEHIND)) : undefined))
      : undefined;
    if (!tie) return true;
    const margin = `${tie.margin.toExponential(1)}, rounding is ${tie.rounding.toExponential(1)}`;
    excluded.push(`position ${position}: layer ${tie.layer} chose ${tie.of} by ${margin}`);
    first = Math.min(first, position);
    return false;
  });
  if (excluded.length > MOST_EXCLUDED * all.length) problems.push(`${excluded.length} positions nearly tie`);
  const sum = (of: (p: Position) => number) => kept.reduce((total, p) => total + of(p), 0);
  const nmse = sum((p) => p.errors) / sum((p) => p.squares);
  // What is behind a position that was left out attends to it: where that shows, it is held to an error alone.
  const shows = ({ position, largest }: Position) => !byError && position > first && largest > tolerance.largest;
  const behind = kept.filter(shows);
  const before = kept.filter((p) => !shows(p));
  for (const { position, errors, squares } of behind) {
    if (!(errors / squares < BEHIND)) problems.push(`error ${errors / squares} at ${position}, behind a near-tie`);
  }
  const largest = Math.max(...before.map((p) => p.largest));
  if (byError ? !(nmse < tolerance.nmse) : !(largest <= tolerance.largest)) {
    problems.push(
      byError ? `error ${nmse} ≥ ${tolerance.nmse}` : `largest difference ${largest} > ${tolerance.largest}`,
    );
  }
  const vocabulary = golden.logits.length / golden.tokens.length;
  const off = byError ? DEVIATIONS * Math.sqrt(sum((p) => p.errors) / (kept.length * vocabulary)) : tolerance.largest;
  const decided = before.filter(({ margin }) => margin > 2 * off);
  const wrong = decided.filter(({ sameBest }) => !sameBest).map(({ position }) => position);
  if (wrong.length > 0) problems.push(`another token is the likeliest at ${wrong}`);
  return { largest, nmse, decided: decided.length, excluded, problems };
}

function comparePosition({ logits }: GoldenCase, position: number, ours: Float32Array): Position {
  const expected = logits.subarray(position * ours.length, (position + 1) * ours.length);
  const result = { position, errors: 0, squares: 0, largest: 0 };
  for (let i = 0; i < ours.length; i++) {
    const error = Math.abs(ours[i]! - expected[i]!);
    result.largest = Math.max(result.largest, error);
    result.errors += error * error;
    result.squares += expected[i]! ** 2;
  }
  const best = indexOfBest(expected);
  const second = expected.reduce((most, x, i) => (i !== best && x > most ? x : most), -Infinity);
  return { ...result, margin: expected[best]! - second, sameBest: indexOfBest(ours) === best };
}

function indexOfBest(values: Float32Array): number {
  return values.reduce((best, x, i) => (x > values[best]! ? i : best), 0);
}
