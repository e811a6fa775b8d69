import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ngramTable, Primes } from '../../src/models/ngrams.js';
import { Declarations } from '../../src/models/parameters.js';
import { fiddlerError } from '../support/errors.js';
import { temporaryFolder } from '../support/folder.js';
import { E4M3, toBf16 } from '../support/fp8.js';
import { readTensors } from '../support/model.js';
import { type TensorToWrite, writeSafetensors } from '../support/safetensors.js';
import { logitsOf } from './gguf-logits.js';

const END = 2;

/** A table of 2- and 3-grams, two rows each. */
function table(change: { offsets?: bigint[]; multipliers?: bigint[] } = {}) {
  const declare = new Declarations();
  const made = ngramTable(declare, 'ngrams', {
    longest: 3,
    heads: 2,
    width: 16,
    end: END,
    primes: new Primes(200),
    primesBefore: 4,
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
    expect(new Primes(1).first(5)).toEqual([2, 3, 5, 7, 11]);
  });

  it('is one of many, whose primes are looked for once', () => {
    const primes = new Primes(2 ** 30);
    const begin = process.cpuUsage();
    for (let count = 16; count <= 4096; count += 16) primes.first(count);
    const { user } = process.cpuUsage(begin);
    expect(
      primes
        .first(4096)
        .slice(-16)
        .every((prime, i, all) => i === 0 || prime > all[i - 1]!),
    ).toBe(true);
    expect(user / 1e6).toBeLessThan(5); // seconds; looking for all anew each time took 40
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

describe('a table in FP8', () => {
  /** The golden model with tables of these types. */
  function logits(change: (table: TensorToWrite) => TensorToWrite[]): Float32Array {
    const [golden, dir] = ['test/golden/qwen4_exp', temporaryFolder()];
    copyFileSync(join(golden, 'config.json'), join(dir, 'config.json'));
    const tensors = readTensors(join(golden, 'model.safetensors'));
    const written = tensors.flatMap((tensor) => (/\.shard_\d/.test(tensor.name) ? change(tensor) : [tensor]));
    writeSafetensors(join(dir, 'model.safetensors'), written);
    return logitsOf(dir, { dtype: 'f32' });
  }

  it('is read by rows, times the number that comes with it', () => {
    const bytesOf = ({ data }: TensorToWrite) => Uint8Array.from({ length: data.length / 2 }, (_, i) => (i * 37) % 127);
    const scale = (name: string): TensorToWrite => {
      const data = new Uint8Array(Uint16Array.of(toBf16(0.015625)).buffer);
      return {
        name: name.replace(/shard_0/, 'weight_scale').replace(/\.weight$/, ''),
        dtype: 'BF16',
        shape: [1],
        data,
      };
    };
    const packed = logits((table) => [
      { ...table, dtype: 'F8_E4M3', data: bytesOf(table) },
      ...(table.name.includes('shard_0') ? [scale(table.name)] : []),
    ]);
    const same = logits((table) => {
      const numbers = Float32Array.from(bytesOf(table), (byte) => E4M3[byte]! * 0.015625);
      return [{ ...table, dtype: 'F32', data: new Uint8Array(numbers.buffer) }];
    });
    expect(packed).toEqual(same);
  });
});
