import { describe, expect, it } from 'vitest';
import { ngramTable, primesFrom } from '../../src/models/ngrams.js';
import { Declarations } from '../../src/models/parameters.js';
import { fiddlerError } from '../support/errors.js';

const END = 2;

/** A table of 2- and 3-grams, two rows each. */
function table(change: { offsets?: bigint[]; multipliers?: bigint[] } = {}) {
  const declare = new Declarations();
  const made = ngramTable(declare, 'ngrams', {
    longest: 3,
    heads: 2,
    width: 16,
    end: END,
    primesBefore: 4,
    base: 200,
    shards: 2,
    multiple: 8,
  });
  for (const each of declare.integers)
    each.values = BigInt64Array.from({ length: each.shape[0]! }, (_, i) => BigInt(each.usual(i)));
  if (change.offsets) declare.integers[1]!.values = BigInt64Array.from(change.offsets);
  if (change.multipliers) declare.integers[0]!.values = BigInt64Array.from(change.multipliers);
  const sizes = [...declare.integers[2]!.values].map(Number);
  return { made, sizes };
}

function rowsOf(tokens: number[], multipliers: bigint[]): number[] {
  const { made } = table({ multipliers });
  const into = new Int32Array(4);
  made.prepare(made.rows * 2)(tokens, into);
  return [...into];
}

describe('a table of n-grams', () => {
  it('has as many rows as the primes that are its own, up to a multiple, divided between its tensors', () => {
    const { made, sizes } = table();
    expect(sizes).toEqual([233, 239, 241, 251]);
    expect(made.rows).toBe(484);
    expect(made.names).toHaveLength(2);
    expect(primesFrom(1, 5)).toEqual([2, 3, 5, 7, 11]);
  });

  it('is read by products that wrap at 64 bits, exclusive or, and a remainder that is not negative', () => {
    const multipliers = [2n ** 62n + 1n, 3n, 5n];
    const wrap = (x: bigint) => BigInt.asIntN(64, x);
    const two = wrap(wrap(7n * multipliers[0]!) ^ (11n * 3n));
    const three = wrap(two ^ (13n * 5n));
    expect(two < 0n).toBe(true);
    const row = (mixed: bigint, size: bigint, offset: bigint) => Number(offset + (((mixed % size) + size) % size));
    expect(rowsOf([99, 13, 11, 7], multipliers)).toEqual([
      row(two, 233n, 0n),
      row(two, 239n, 233n),
      row(three, 241n, 472n),
      row(three, 251n, 713n),
    ]);
  });

  it('takes the end token for what is before a text, which begins behind one', () => {
    const multipliers = [3n, 5n, 7n];
    expect(rowsOf([7], multipliers)).toEqual(rowsOf([9, END, 7], multipliers));
    expect(rowsOf([8, 7], multipliers)).toEqual(rowsOf([END, 8, 7], multipliers));
    expect(rowsOf([9, 8, 7], multipliers)).not.toEqual(rowsOf([END, 8, 7], multipliers));
    // That a text ends with it does not cut off what is before.
    expect(rowsOf([9, 8, END], multipliers)).not.toEqual(rowsOf([END, 8, END], multipliers));
  });

  it('is refused where its numbers lead beyond its rows', () => {
    const beyond = table({ offsets: [0n, 233n, 472n, 900n] });
    expect(fiddlerError('file', () => beyond.made.prepare(968))).toContain('head 3');
    const before = table({ offsets: [-1n, 233n, 472n, 713n] });
    expect(fiddlerError('file', () => before.made.prepare(968))).toContain('head 0');
  });
});
