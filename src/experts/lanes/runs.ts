import type { SourcePart } from '../source-parts.js';

/** A copy of several parts has so many bytes at most: it takes long beside what queueing it takes. */
export const RUN_BYTES = 16 * 2 ** 20;
/** And so many bytes at most from each part to the next: CUDA takes less than 2 GiB. */
export const FARTHEST = 2 ** 30;

/** An expert to be copied whole. */
export interface WholeCopy {
  slot: number;
  parts: readonly SourcePart[];
}

/** Experts that are copied at once: each part of one lies as far behind that of the one before, and they go to neighbouring slots. */
export interface Run {
  slot: number;
  count: number;
  /** Of the first. */
  parts: readonly SourcePart[];
  /** Bytes from each part to that of the next expert. */
  distances: readonly number[];
}

/** Divides copies into as few runs as their order allows. */
export function runsOf(copies: readonly WholeCopy[]): Run[] {
  const runs: Run[] = [];
  let before: readonly SourcePart[] | undefined;
  for (const { slot, parts } of copies) {
    const run = runs.at(-1);
    const follows = before && run && run.slot + run.count === slot;
    const distances = follows ? distancesOf(before!, parts) : undefined;
    if (run && distances && joins(run, distances)) {
      run.count++;
      run.distances = distances;
    } else runs.push({ slot, count: 1, parts, distances: parts.map(({ bytes }) => bytes) });
    before = parts;
  }
  return runs;
}

function joins({ count, parts, distances }: Run, next: readonly number[]): boolean {
  return parts.every(({ bytes }, i) => (count + 1) * bytes <= RUN_BYTES && (count === 1 || distances[i] === next[i]));
}

/** Bytes from each part of an expert to that of another; undefined where one copy cannot read both. */
function distancesOf(from: readonly SourcePart[], to: readonly SourcePart[]): number[] | undefined {
  const distances: number[] = [];
  for (const [i, { address, bytes, piece }] of from.entries()) {
    const distance = to[i]!.address - address;
    if (piece < 0 || piece !== to[i]!.piece || distance < bytes || distance > FARTHEST) return undefined;
    distances.push(distance);
  }
  return distances;
}
