import { existsSync } from 'node:fs';
import { FiddlerError } from '../../errors.js';
import { type Mapping, mapFile, unmap, view } from '../../native/os/memory.js';
import type { Checkpoint, StoredTensor } from '../checkpoint.js';
import { MappedCheckpoint, quote, type UnsupportedTensor } from '../mapped.js';
import { broken } from './cursor.js';
import { type GgufHeader, LONGEST_HEADER, readHeader } from './header.js';
import type { Metadata } from './metadata.js';
import { checkShards, shardPaths } from './shards.js';
import { COMPUTED_TYPES } from './types.js';

/** A GGUF model: what its first file says of it, and all tensors, by the names that they have there. */
export interface GgufModel {
  metadata: Metadata;
  checkpoint: Checkpoint;
}

/** The metadata of a GGUF file: of several shards, the first has all. @throws FiddlerError as {@link openGguf} */
export function readGgufMetadata(file: string): Metadata {
  const mapping = mapFile(file);
  try {
    return mappedHeader(mapping).metadata;
  } finally {
    unmap(mapping);
  }
}

/**
 * Maps a GGUF model: one file, or all shards of which `file` is the first. Every header field is checked here; no weight
 * is read.
 * @throws FiddlerError `file`: missing, truncated, or contradicting itself or another shard; `unsupported`: its version
 */
export function openGguf(file: string): GgufModel {
  const first = mapFile(file);
  const mappings = [first];
  try {
    const headers = [mappedHeader(first)];
    for (const path of shardPaths(file, headers[0]!).slice(1)) {
      checkExists(path);
      const mapping = mapFile(path);
      mappings.push(mapping);
      headers.push(mappedHeader(mapping));
    }
    return ggufModel(file, mappings, headers);
  } catch (error) {
    for (const mapping of mappings) unmap(mapping);
    throw error;
  }
}

/** A model of mapped files whose headers were read. @throws FiddlerError `file`: they contradict each other */
export function ggufModel(place: string, mappings: readonly Mapping[], headers: readonly GgufHeader[]): GgufModel {
  checkShards(headers);
  const tensors = new Map<string, StoredTensor>();
  const unsupported = new Map<string, UnsupportedTensor>();
  for (const [i, { file, address }] of mappings.entries()) {
    for (const { name, dtype, typeName, shape, offset, bytes } of headers[i]!.tensors) {
      const earlier = tensors.get(name) ?? unsupported.get(name);
      if (earlier) throw broken(file, `tensor ${quote(name)} is in ${earlier.file} too`);
      if (dtype) tensors.set(name, { name, dtype, shape, address: address + BigInt(offset), bytes, file });
      else unsupported.set(name, { name, dtype: typeName, file, computed: COMPUTED_TYPES });
    }
  }
  const checkpoint = new MappedCheckpoint(place, mappings, tensors, unsupported);
  return { metadata: headers[0]!.metadata, checkpoint };
}

/** @throws FiddlerError */
function mappedHeader({ file, address, bytes }: Mapping): GgufHeader {
  const head = new Uint8Array(view(address, Math.min(bytes, LONGEST_HEADER)));
  return readHeader(file, head, bytes)!; // of a whole file undefined is none of the answers
}

function checkExists(shard: string): void {
  if (existsSync(shard)) return;
  throw new FiddlerError('file', `${shard} is missing`, 'download all parts of the model into one folder');
}
