import { join } from 'node:path';
import { mapHead } from '../ggml/memory.js';
import type { Checkpoint } from './checkpoint.js';
import type { JsonObject } from './config.js';
import type { Repository } from './hub/repository.js';
import { checkpointOf } from './safetensors.js';
import { headerEnd } from './safetensors-header.js';
import { checkShards, INDEX_FILE, readIndex, SINGLE_FILE } from './safetensors-index.js';

/** Bytes asked for first: they hold most headers whole. */
const FIRST_BYTES = 256 << 10;

/** A file that is elsewhere. */
interface RemoteFile {
  file: string;
  bytes: number;
  /** Everything up to the first tensor. */
  head: Uint8Array;
}

/**
 * Fetches the headers of a repository's safetensors files and no weights.
 * @returns opens a checkpoint whose tensors have addresses but no data. It throws as `openSafetensors`
 * @throws FiddlerError `file` or `network`
 */
export async function fetchSafetensors(repository: Repository): Promise<(config: JsonObject) => Checkpoint> {
  const { id: place, files } = repository;
  const index = files.has(SINGLE_FILE) ? undefined : readIndex(place, await repository.readJson(INDEX_FILE));
  if (index) checkShards(index, (shard) => files.has(shard), 'the repository is incomplete; use another revision');
  const names = index?.shards ?? [SINGLE_FILE];
  const heads = await Promise.all(names.map((name) => fetchHead(repository, name)));
  const maps = heads.map(
    ({ file, bytes, head }) =>
      () =>
        mapHead(file, bytes, head),
  );
  return (config) => checkpointOf({ place, index, config, maps });
}

async function fetchHead(repository: Repository, name: string): Promise<RemoteFile> {
  const file = join(repository.id, name);
  const first = await repository.read(name, 0, FIRST_BYTES);
  const end = headerEnd(file, first.size, first.bytes);
  const here = first.bytes.subarray(0, end);
  if (here.length === end) return { file, bytes: first.size, head: here };
  const rest = await repository.read(name, here.length, end);
  return { file, bytes: first.size, head: Buffer.concat([here, rest.bytes]) };
}
