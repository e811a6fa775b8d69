import { join } from 'node:path';
import { mapHead } from '../native/os/memory.js';
import type { Checkpoint } from './checkpoint.js';
import type { JsonObject } from './config.js';
import type { Repository } from './hub/repository.js';
import { checkpointOf } from './safetensors.js';
import { headerEnd } from './safetensors-header.js';
import { INDEX_FILE, type PresentShards, presentShards, readIndex, SINGLE_FILE } from './safetensors-index.js';

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
  const present = await remoteShards(repository);
  const names = present?.names ?? [SINGLE_FILE];
  const heads = await Promise.all(names.map((name) => fetchHead(repository, name)));
  const maps = heads.map(
    ({ file, bytes, head }) =>
      () =>
        mapHead(file, bytes, head),
  );
  return (config) => checkpointOf({ place: repository.id, absence: present?.absence, config, maps });
}

/** Every file of a repository's weights, their index too. @throws FiddlerError `file` or `network` */
export async function safetensorsFiles(repository: Repository): Promise<string[]> {
  const present = await remoteShards(repository);
  return present ? [INDEX_FILE, ...present.names] : [SINGLE_FILE];
}

/** The shards of a repository whose weights are in several files. */
async function remoteShards(repository: Repository): Promise<PresentShards | undefined> {
  const { id, files } = repository;
  if (files.has(SINGLE_FILE)) return undefined;
  const index = readIndex(id, await repository.readJson(INDEX_FILE));
  return presentShards(index, (shard) => files.has(shard), 'the repository is incomplete; use another revision');
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
