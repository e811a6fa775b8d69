import { basename, dirname, join } from 'node:path';
import { FiddlerError } from '../../errors.js';
import { quote } from '../mapped.js';
import { broken } from './cursor.js';
import type { GgufHeader } from './header.js';
import type { Metadata } from './metadata.js';

/** `split.no` counts from 0, names from 1 (llama.cpp, gguf-split). */
const SHARD_NAME = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/;
const MOST_SHARDS = 99_999;

/** Part of a model in several files. */
interface Shard {
  /** Counted from 0. */
  number: number;
  count: number;
}

/** What a file says of itself as a part; undefined where it is whole. @throws FiddlerError `file` */
function shardOf(metadata: Metadata): Shard | undefined {
  const count = metadata.integer('split.count') ?? 0;
  const number = metadata.integer('split.no') ?? 0;
  if (count < 0 || count > MOST_SHARDS || number < 0 || number >= Math.max(1, count)) {
    throw broken(metadata.file, `it is part ${number} of ${count}`);
  }
  return count > 1 ? { number, count } : undefined;
}

/** The name of a shard, counted from 0. */
function shardName(prefix: string, number: number, count: number): string {
  const padded = (n: number) => String(n).padStart(5, '0');
  return `${prefix}-${padded(number + 1)}-of-${padded(count)}.gguf`;
}

/** Whether a file name is that of a shard which is not the first. */
export function isLaterShard(name: string): boolean {
  const number = SHARD_NAME.exec(basename(name))?.[2];
  return number !== undefined && Number(number) !== 1;
}

/**
 * Paths of all files of a model, by the header of its first one.
 * @throws FiddlerError `file`: it is another one than the first, or has another name than such files have
 */
export function shardPaths(file: string, { metadata }: GgufHeader): string[] {
  const shard = shardOf(metadata);
  if (!shard) return [file];
  const { number, count } = shard;
  const [, prefix] = SHARD_NAME.exec(basename(file)) ?? [];
  if (prefix === undefined || basename(file) !== shardName(prefix, number, count)) {
    const name = shardName('NAME', number, count);
    const problem = `${file} is part ${number + 1} of ${count} of a model, but is not named so`;
    throw new FiddlerError('file', problem, `call it ${name}, and the other parts alike`);
  }
  if (number !== 0) {
    const first = shardName(prefix, 0, count);
    throw new FiddlerError('file', `${file} is part ${number + 1} of ${count} of a model`, `give the first, ${first}`);
  }
  return Array.from({ length: count }, (_, i) => join(dirname(file), shardName(prefix, i, count)));
}

/** @throws FiddlerError `file`: headers of files that are not one model's parts in order, or not all of its tensors */
export function checkShards(headers: readonly GgufHeader[]): void {
  const count = headers.length;
  for (const [i, { metadata }] of headers.entries()) {
    const shard = shardOf(metadata) ?? { number: 0, count: 1 };
    if (shard.number !== i || shard.count !== count) {
      const problem = `it is part ${shard.number + 1} of ${shard.count}, not ${i + 1} of ${count} as its name says`;
      throw broken(metadata.file, problem);
    }
  }
  const { metadata } = headers[0]!;
  const { architecture } = metadata;
  for (const { metadata: later } of headers.slice(1)) {
    const other = later.architecture ?? architecture;
    if (other !== architecture)
      throw broken(later.file, `it is of ${quote(other!)}, not of ${quote(architecture ?? '')}`);
  }
  const expected = count > 1 ? metadata.integer('split.tensors.count') : undefined;
  const found = headers.reduce((sum, { tensors }) => sum + tensors.length, 0);
  if (expected !== undefined && expected !== found) {
    throw broken(metadata.file, `all parts together should have ${expected} tensors, but have ${found}`);
  }
}
