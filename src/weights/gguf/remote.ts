import { join } from 'node:path';
import { type Mapping, mapHead } from '../../native/os/memory.js';
import type { Repository } from '../hub/repository.js';
import { type GgufModel, ggufModel } from './gguf.js';
import { type GgufHeader, readHeader } from './header.js';
import { shardPaths } from './shards.js';

/** Bytes asked for first; then twice as many until they hold the header. */
const FIRST_BYTES = 1 << 20;

/** A file that is elsewhere. */
interface RemoteFile {
  file: string;
  size: number;
  head: Uint8Array;
  header: GgufHeader;
}

/**
 * Fetches the headers of a GGUF model in a repository and no weights.
 * @param name the model's file, or the first of its shards
 * @returns opens the model, whose tensors then have addresses but no data
 * @throws FiddlerError `file`, `unsupported` or `network`
 */
export async function fetchGguf(repository: Repository, name: string): Promise<() => GgufModel> {
  const first = await fetchHead(repository, name);
  const others = shardPaths(name, first.header).slice(1);
  const files = [first, ...(await Promise.all(others.map((path) => fetchHead(repository, path))))];
  return () => {
    const mappings = files.map(({ file, size, head }): Mapping => mapHead(file, size, head));
    return ggufModel(
      join(repository.id, name),
      mappings,
      files.map(({ header }) => header),
    );
  };
}

async function fetchHead(repository: Repository, name: string): Promise<RemoteFile> {
  const file = join(repository.id, name);
  let head: Uint8Array = new Uint8Array();
  for (let wanted = FIRST_BYTES; ; wanted *= 2) {
    const { bytes, size } = await repository.read(name, head.length, wanted);
    head = Buffer.concat([head, bytes]);
    const header = readHeader(file, head, size);
    if (header) return { file, size, head, header };
  }
}
