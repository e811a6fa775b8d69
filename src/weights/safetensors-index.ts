import { join } from 'node:path';
import { z } from 'zod';
import { FiddlerError } from '../errors.js';
import { type JsonObject, validate } from './config.js';
import { quote } from './mapped.js';

export const SINGLE_FILE = 'model.safetensors';
export const INDEX_FILE = 'model.safetensors.index.json';

const schema = z.object({ weight_map: z.record(z.string(), z.string()) });

/** Where the tensors of a model of several files are. */
export interface ShardIndex {
  /** The folder or repository, for error messages. */
  readonly place: string;
  /** Tensor name to the shard that holds it. */
  readonly weightMap: Readonly<Record<string, string>>;
  /** Every shard once, a plain file name. */
  readonly shards: readonly string[];
}

/** @throws FiddlerError `file`: the index names no tensors, or a shard that is no plain file name */
export function readIndex(place: string, json: JsonObject): ShardIndex {
  const file = join(place, INDEX_FILE);
  const weightMap = validate(schema, json, file).weight_map;
  const shards = [...new Set(Object.values(weightMap))].sort();
  if (shards.length === 0) throw broken(file, 'it names no tensors');
  const foreign = shards.find((shard) => !isPlainName(shard));
  if (foreign !== undefined) throw broken(file, `shard ${quote(foreign)} is not a plain file name`);
  return { place, weightMap, shards };
}

/** The shards that are there, and why a tensor that is wanted is in none of them. */
export interface PresentShards {
  names: readonly string[];
  /** Undefined for a tensor that the index does not name. */
  absence(tensor: string): FiddlerError | undefined;
}

/**
 * Of the shards that an index names those that exist: one that holds only what a model does not need, such as heads for
 * further tokens, may be missing.
 * @param remedy for shards that are missing
 * @throws FiddlerError `file`: none exists
 */
export function presentShards(
  { place, weightMap, shards }: ShardIndex,
  exists: (shard: string) => boolean,
  remedy: string,
): PresentShards {
  const file = join(place, INDEX_FILE);
  const names = shards.filter(exists);
  const missing = (shard: string) => {
    const others = shards.length - names.length - 1;
    const count = others === 0 ? '' : ` and ${others} more`;
    return new FiddlerError('file', `${file} names ${quote(shard)}${count}, missing in ${place}`, remedy);
  };
  if (names.length === 0) throw missing(shards[0]!);
  const absence = (tensor: string) => {
    const shard = Object.hasOwn(weightMap, tensor) ? weightMap[tensor]! : undefined;
    if (shard === undefined) return undefined;
    if (!names.includes(shard)) return missing(shard);
    return broken(file, `tensor ${quote(tensor)} is not in ${quote(shard)}, where the index puts it`);
  };
  return { names, absence };
}

/** A name that cannot lead out of its folder. */
function isPlainName(file: string): boolean {
  return file !== '' && file !== '.' && file !== '..' && !/[/\\\0]/.test(file);
}

/** The error of files that contradict themselves or each other. */
export function broken(file: string, problem: string): FiddlerError {
  return new FiddlerError('file', `${file}: ${problem}`, 'the download is damaged or incomplete; download it again');
}
