/** How long to measure. */
export interface Patience {
  /** Milliseconds after which no measurement is repeated, and no larger call is tried. */
  limit: number;
  /** Repetitions, more where these take less than `least` milliseconds: cores and memory take a while to run at full speed. */
  repeats: number;
  least: number;
  /** Tokens of calls with experts, and of whole layers; ascending from 1. */
  tokens: readonly number[];
  lengths: readonly number[];
  /** Rows of logits beside one; none where decoding of several sequences is not to be predicted closely. */
  heads: readonly number[];
}
/** At loading, where nothing is stored. */
export const QUICK: Patience = {
  limit: 100,
  repeats: 3,
  least: 10,
  tokens: [1, 4, 16, 64, 256],
  lengths: [1, 128],
  heads: [],
};

/** As many times the median, a measurement counts as no more. */
const OUTLIER = 5;
/**
 * Runs what is measured, after once that is not: milliseconds of each run.
 * @param between runs before each, untimed: what a model computes there, since caches then hold other things
 */
export function repeat({ limit, repeats, least }: Patience, run: () => void, between: () => void = () => {}): number[] {
  run();
  const times: number[] = [];
  const begin = performance.now();
  for (let elapsed = 0; elapsed < limit && (times.length < repeats || elapsed < least); ) {
    between();
    const start = performance.now();
    run();
    times.push(performance.now() - start);
    elapsed = performance.now() - begin;
  }
  return times.sort((a, b) => a - b);
}

/**
 * What a call of many pieces takes of each: their mean, as it meets slow ones too; of a very slow one, which few calls
 * meet, a part.
 * @param times ascending
 */
export function mean(times: readonly number[]): number {
  const most = OUTLIER * times[times.length >> 1]!;
  return times.reduce((sum, ms) => sum + Math.min(ms, most), 0) / times.length;
}

/** The middle one, of an even number the later; sorts them. */
export function median(times: number[]): number {
  return times.sort((a, b) => a - b)[times.length >> 1]!;
}

/** How many times as long the runs took as the fastest of them. @param times ascending */
export function delay(times: readonly number[]): number {
  const [fastest] = times;
  return fastest! > 0 ? times.reduce((sum, ms) => sum + ms, 0) / times.length / fastest! : 1;
}
