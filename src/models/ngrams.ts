import { FiddlerError } from '../errors.js';
import { refuseUnless } from './config.js';
import type { ChooseRows, Declarations, HostIntegers, TokenRows } from './parameters.js';

export interface NgramOptions {
  /** Longest run of tokens, the present one included. */
  longest: number;
  /** Rows that each length of runs chooses. */
  heads: number;
  /** Numbers of a row. */
  width: number;
  /** What ends a text: runs do not reach across it, and it stands for tokens before the first. */
  end: number;
  /** Numbers of rows of this table and those before it, one after the other, and how many are not this table's. */
  primes: Primes;
  primesBefore: number;
  /** Tensors in which the table's rows lie, and what their number is a multiple of. */
  shards: number;
  multiple: number;
  /** The hash in decimals, where no tensors hold it. */
  hash?: Readonly<Record<HashPart, readonly string[]>>;
}

/** What runs of tokens are hashed by: a factor for each token of a run; of each head its first row, and its rows. */
type HashPart = 'layer_multipliers' | 'ngram_heads_offsets' | 'ngram_heads_vocab_sizes';

/** Published configs take 16 for each table; more than this take a second to find. */
const MOST_PRIMES = 4096;

/**
 * A table of which each token reads rows by the runs of 2 to `longest` tokens that end with it, hashed: tensors
 * `${prefix}.{layer_multipliers, ngram_heads_offsets, ngram_heads_vocab_sizes}` and `${prefix}.ngram_embedding.shard_${i}`
 * (as transformers has it, models/qwen4_exp).
 * @throws FiddlerError `unsupported`
 */
export function ngramTable(declare: Declarations, prefix: string, options: NgramOptions): TokenRows {
  const { longest, heads, width, shards, multiple, hash } = options;
  const count = (longest - 1) * heads;
  const sizes = hash?.ngram_heads_vocab_sizes.map(Number) ?? primeSizes(options, count);
  const total = sizes.reduce((a, b) => a + b, 0);
  const rows = Math.ceil(total / multiple) * multiple;
  const hashed = hash ? givenHash(hash, longest, count) : storedHash(declare, prefix, longest, sizes);
  const names = Array.from({ length: shards }, (_, i) => `${prefix}.ngram_embedding.shard_${i}.weight`);
  const prepare = (there: number) => chooseRows(hashed, options, there);
  const scale = `${prefix}.ngram_embedding.weight_scale`;
  return declare.table(names, width, Math.ceil(rows / shards), count, longest - 1, prepare, scale);
}

type Hash = Record<HashPart, Pick<HostIntegers, 'name' | 'values'>>;

/** @throws FiddlerError `unsupported`: more or fewer numbers than there are tokens of a run, or heads */
function givenHash(hash: NonNullable<NgramOptions['hash']>, longest: number, count: number): Hash {
  const part = (name: HashPart, length: number) => {
    const values = hash[name];
    refuseUnless(values.length === length, `ngram_hash.${name}`, `has ${values.length} numbers, not ${length}`);
    return { name, values: BigInt64Array.from(values, BigInt) };
  };
  return {
    layer_multipliers: part('layer_multipliers', longest),
    ngram_heads_offsets: part('ngram_heads_offsets', count),
    ngram_heads_vocab_sizes: part('ngram_heads_vocab_sizes', count),
  };
}

function storedHash(declare: Declarations, prefix: string, longest: number, sizes: readonly number[]): Hash {
  const offsets = sizes.map((_, i) => sizes.slice(0, i).reduce((a, b) => a + b, 0));
  const part = (name: HashPart, usual: readonly number[]) =>
    declare.integer(`${prefix}.${name}`, [usual.length], (index) => usual[index]!);
  return {
    layer_multipliers: part(
      'layer_multipliers',
      Array.from({ length: longest }, (_, i) => 2 * i + 1),
    ),
    ngram_heads_offsets: part('ngram_heads_offsets', offsets),
    ngram_heads_vocab_sizes: part('ngram_heads_vocab_sizes', sizes),
  };
}

/** Rows of each head where no file says it. @throws FiddlerError `unsupported`: they take long to find */
function primeSizes({ primes, primesBefore }: NgramOptions, count: number): number[] {
  const needed = primesBefore + count;
  refuseUnless(needed <= MOST_PRIMES, 'heads_per_ngram', `leads to ${needed} primes, more than ${MOST_PRIMES}`);
  return primes.first(needed).slice(-count);
}

/** The primes from a number on, each looked for once: every table of a model asks for those of all before it. */
export class Primes {
  readonly #found: number[] = [];
  #next: number;

  constructor(from: number) {
    this.#next = Math.max(2, from);
  }

  first(count: number): readonly number[] {
    for (; this.#found.length < count; this.#next++) if (isPrime(this.#next)) this.#found.push(this.#next);
    return this.#found.slice(0, count);
  }
}

function isPrime(n: number): boolean {
  if (n % 2 === 0) return n === 2;
  for (let d = 3; d * d <= n; d += 2) if (n % d === 0) return false;
  return true;
}

/** @throws FiddlerError `file`: a head has no rows, or more than there are */
function chooseRows(
  hashed: Hash,
  { longest, heads, end }: Pick<NgramOptions, 'longest' | 'heads' | 'end'>,
  rows: number,
): ChooseRows {
  const { ngram_heads_offsets: ofOffsets, ngram_heads_vocab_sizes: ofSizes } = hashed;
  const [multipliers, offsets, sizes] = [hashed.layer_multipliers.values, ofOffsets.values, ofSizes.values];
  for (const [head, size] of sizes.entries()) {
    if (size > 0n && offsets[head]! >= 0n && offsets[head]! + size <= BigInt(rows)) continue;
    const problem = `${ofSizes.name} and ${ofOffsets.name} give head ${head} rows that are not among the ${rows} of its table`;
    throw new FiddlerError('file', problem, 'download every file of the model again');
  }
  return (tokens, into) => {
    const run = runOf(tokens, longest, end);
    let mixed = BigInt(run[0]!) * multipliers[0]!;
    for (let n = 1; n < longest; n++) {
      mixed = BigInt.asIntN(64, mixed ^ (BigInt(run[n]!) * multipliers[n]!));
      for (let head = (n - 1) * heads; head < n * heads; head++) {
        const size = sizes[head]!;
        into[head] = Number(offsets[head]! + (((mixed % size) + size) % size));
      }
    }
  };
}

/** The last token and those before it, the nearest first: as many as the longest run, or the end token in their place. */
function runOf(tokens: readonly number[], longest: number, end: number): number[] {
  const run = [tokens.at(-1)!];
  while (run.length < longest) {
    const token = tokens.at(-1 - run.length) ?? end;
    if (token === end) return [...run, ...Array<number>(longest - run.length).fill(end)];
    run.push(token);
  }
  return run;
}
