import { MATRICES, type MatrixName } from '../activations.js';
import { biasesAt, type PlacedExpert } from '../expert.js';

/** A copy of several parts has so many bytes at most: it takes long beside what queueing it takes. */
export const RUN_BYTES = 16 * 2 ** 20;

/** An expert to be copied whole. */
export interface WholeCopy {
  slot: number;
  source: PlacedExpert;
  /** It lies in a mapped file: only there are neighbours one piece of memory for the driver. */
  inFile: boolean;
}

/** A matrix of an expert, or its biases, in the host's memory. */
export interface SourcePart {
  name: MatrixName | 'biases';
  /** Exact: below 2^53. */
  address: number;
  bytes: number;
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
  for (const { slot, source, inFile } of copies) {
    const parts = partsOf(source);
    const run = runs.at(-1);
    const follows = before && inFile && run && run.slot + run.count === slot;
    const distances = follows ? distancesOf(before!, parts) : undefined;
    if (run && distances && joins(run, distances)) {
      run.count++;
      run.distances = distances;
    } else runs.push({ slot, count: 1, parts, distances: parts.map(({ bytes }) => bytes) });
    before = inFile ? parts : undefined;
  }
  return runs;
}

function partsOf(source: PlacedExpert): SourcePart[] {
  const parts: SourcePart[] = [];
  for (const name of MATRICES) {
    const tensor = source[name]?.tensor;
    if (tensor) parts.push({ name, address: Number(tensor.address), bytes: tensor.bytes });
  }
  if (source.biases) {
    const { address, bytes } = biasesAt(source.biases);
    parts.push({ name: 'biases', address: Number(address), bytes });
  }
  return parts;
}

function joins({ count, parts, distances }: Run, next: readonly number[]): boolean {
  return parts.every(({ bytes }, i) => (count + 1) * bytes <= RUN_BYTES && (count === 1 || distances[i] === next[i]));
}

/**
 * Bytes from each part of an expert to that of another; undefined where between them lies what belongs to neither: it may
 * not be pinned, and a copy from memory that is pinned by half fails.
 */
function distancesOf(from: readonly SourcePart[], to: readonly SourcePart[]): number[] | undefined {
  const distances: number[] = [];
  for (const [i, { name, address, bytes }] of from.entries()) {
    const distance = to[i]!.address - address;
    const between = distance - bytes;
    if (between !== 0 && (name === 'biases' || between !== bytesIn(address + bytes, to[i]!.address, from, to))) {
      return undefined;
    }
    distances.push(distance);
  }
  return distances;
}

/** Bytes of two experts' matrices in a range of memory. */
function bytesIn(begin: number, end: number, ...experts: readonly (readonly SourcePart[])[]): number {
  let total = 0;
  for (const parts of experts) {
    for (const { name, address, bytes } of parts) {
      if (name !== 'biases' && address >= begin && address + bytes <= end) total += bytes;
    }
  }
  return total;
}
