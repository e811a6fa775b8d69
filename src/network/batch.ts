/** Tokens of one sequence in a call of the model. */
export interface Part {
  /** Which of the KV cache's extents is the sequence's. */
  slot: number;
  tokens: readonly number[];
  /** Tokens before them, whose keys and values are in the cache. */
  past: number;
  /** The last of these, where the model reads rows of tables by them. */
  before?: readonly number[];
  /** Tokens of an encoder's output in the caches of cross-attention. */
  source: number;
  /** The sequence is longer than the model's `extendedBeyond`; the same for all of a call. */
  extended: boolean;
}

/** What a call computes: the tokens of its parts are its rows, one part behind the other. */
export type Batch = readonly Part[];

/** Rows of a sequence's part of a KV cache. */
export interface RowRange {
  from: number;
  count: number;
}

/** Sequences that attention takes in one operation: neighbours in the KV cache, with equally many tokens. */
export interface Group {
  /** Row of the call with which they begin. */
  first: number;
  /** Of each sequence. */
  tokens: number;
  sequences: number;
  /** Of the first. */
  slot: number;
  /** Rows of the KV cache that attention reads of each sequence, by its sliding window; 0 stands for none. */
  reads: ReadonlyMap<number, RowRange>;
  /** Rows that it reads of an encoder's output. */
  sourceRows: number;
}

/** Rows of a call. */
export function tokensOf(batch: Batch): number {
  let count = 0;
  for (const { tokens } of batch) count += tokens.length;
  return count;
}

/**
 * Divides a call between operations of attention.
 * @param readsOf rows that attention reads of a part, by window
 */
export function groupsOf(
  batch: Batch,
  readsOf: (part: Part) => ReadonlyMap<number, RowRange>,
  sourceRowsOf: (part: Part) => number,
): Group[] {
  const groups: Group[] = [];
  let first = 0;
  for (const part of batch) {
    const { slot, tokens } = part;
    const last = groups.at(-1);
    const [reads, sourceRows] = [readsOf(part), sourceRowsOf(part)];
    if (last && last.tokens === tokens.length && last.slot + last.sequences === slot) {
      last.sequences++;
      last.reads = new Map([...reads].map(([window, range]) => [window, covering(range, last.reads.get(window)!)]));
      last.sourceRows = Math.max(last.sourceRows, sourceRows);
    } else groups.push({ first, tokens: tokens.length, sequences: 1, slot, reads, sourceRows });
    first += tokens.length;
  }
  return groups;
}

function covering(a: RowRange, b: RowRange): RowRange {
  const from = Math.min(a.from, b.from);
  return { from, count: Math.max(a.from + a.count, b.from + b.count) - from };
}

export function sameGroups(a: readonly Group[], b: readonly Group[]): boolean {
  return a.length === b.length && a.every((group, i) => sameGroup(group, b[i]!));
}

function sameGroup(a: Group, b: Group): boolean {
  return (
    a.tokens === b.tokens &&
    a.sequences === b.sequences &&
    a.slot === b.slot &&
    a.sourceRows === b.sourceRows &&
    [...a.reads].every(([window, range]) => sameRange(range, b.reads.get(window)!))
  );
}

function sameRange(a: RowRange, b: RowRange): boolean {
  return a.from === b.from && a.count === b.count;
}
