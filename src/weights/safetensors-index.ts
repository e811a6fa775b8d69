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

/** @throws FiddlerError `file`: a shard does not exist */
export function checkShards({ place, shards }: ShardIndex, exists: (shard: string) => boolean, remedy: string): void {
  const missing = shards.filter((shard) => !exists(shard));
  if (missing.length === 0) return;
  const count = missing.length === 1 ? '' : ` and ${missing.length - 1} more`;
  const problem = `${join(place, INDEX_FILE)} names ${quote(missing[0]!)}${count}, missing in ${place}`;
  throw new FiddlerError('file', problem, remedy);
}

/** @throws FiddlerError `file`: a tensor is not in the shard that the index names */
export function checkIndex({ place, weightMap }: ShardIndex, fileOf: (name: string) => string | undefined): void {
  for (const [name, shard] of Object.entries(weightMap)) {
    if (fileOf(name) !== join(place, shard)) {
      throw broken(join(place, INDEX_FILE), `tensor ${quote(name)} is not in ${quote(shard)}, where the index puts it`);
    }
  }
}

/** A name that cannot lead out of its folder. */
function isPlainName(file: string): boolean {
  return file !== '' && file !== '.' && file !== '..' && !/[/\\\0]/.test(file);
}

/** The error of files that contradict themselves or each other. */
export function broken(file: string, problem: string): FiddlerError {
  return new FiddlerError('file', `${file}: ${problem}`, 'the download is damaged or incomplete; download it again');
}
