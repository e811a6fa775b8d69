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
/** A logit is off by less than so many times their root mean square error, as normally distributed errors are. */
const DEVIATIONS = 4;

/**
 * Compares the logits and the likeliest token at every position. Where a router nearly tied, rounding may turn its
 * choice: such a position is left out of the mean squared error if it exceeds that by itself, where the type rounds.
 */
export function compareLogits(
  session: Pick<Workbench, 'evaluate' | 'observeRouters'>,
  golden: GoldenCase,
  tolerance: Tolerance,
): LogitsComparison {
  const ties = new NearTies();
  const byError = 'nmse' in tolerance;
  // What an encoder's routers are asked is not of these positions.
  if (byError && tolerance.rounds && !golden.source) session.observeRouters(ties.onRouted);
  const all: Position[] = [];
  const collect = (position: number, logits: Float32Array) => all.push(comparePosition(golden, position, logits));
  session.evaluate(golden.tokens, () => false, collect, golden.source);
  session.observeRouters(undefined);
  const problems: string[] = [];
  if (all.length !== golden.tokens.length)
    problems.push(`${all.length} of ${golden.tokens.length} positions are there`);
  const excluded: string[] = [];
  const kept = all.filter(({ position, errors, squares }) => {
    const tie = byError && errors / squares >= tolerance.nmse ? ties.at(position) : undefined;
    if (!tie) return true;
    const margin = `${tie.margin.toExponential(1)}, rounding is ${tie.rounding.toExponential(1)}`;
    excluded.push(`position ${position}: layer ${tie.layer} chose experts by ${margin}`);
    return false;
  });
  if (excluded.length > MOST_EXCLUDED * all.length) problems.push(`${excluded.length} positions nearly tie`);
  const sum = (of: (p: Position) => number) => kept.reduce((total, p) => total + of(p), 0);
  const nmse = sum((p) => p.errors) / sum((p) => p.squares);
  const largest = Math.max(...kept.map((p) => p.largest));
  if (byError ? !(nmse < tolerance.nmse) : !(largest <= tolerance.largest)) {
    problems.push(
      byError ? `error ${nmse} ≥ ${tolerance.nmse}` : `largest difference ${largest} > ${tolerance.largest}`,
    );
  }
  const vocabulary = golden.logits.length / golden.tokens.length;
  const off = byError ? DEVIATIONS * Math.sqrt(sum((p) => p.errors) / (kept.length * vocabulary)) : tolerance.largest;
  const decided = kept.filter(({ margin }) => margin > 2 * off);
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
