import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Mapping, mapFile, unmap } from '../native/os/memory.js';
import type { Checkpoint, StoredTensor } from './checkpoint.js';
import { type JsonObject, readJson } from './config.js';
import { MappedCheckpoint, quote, type UnsupportedTensor } from './mapped.js';
import { withNvfp4 } from './nvfp4.js';
import { readQuantization } from './quantization.js';
import { readHeader } from './safetensors-header.js';
import {
  broken,
  INDEX_FILE,
  type PresentShards,
  presentShards,
  readIndex,
  type ShardIndex,
  SINGLE_FILE,
} from './safetensors-index.js';

/**
 * Maps the safetensors files of a model's folder: `model.safetensors`, or those shards that
 * `model.safetensors.index.json` names which are there. Every header field is checked here; no weight is read.
 * Format: https://github.com/huggingface/safetensors#format
 * @throws FiddlerError `file`: a file is truncated or contradicts itself, or no shard is there; `unsupported`: a quantization
 * that config.json names
 */
export function openSafetensors(dir: string): Checkpoint {
  const index = localIndex(dir);
  const exists = (shard: string) => existsSync(join(dir, shard));
  const present = index && presentShards(index, exists, 'download the missing files into that folder');
  const files = present?.names ?? [SINGLE_FILE];
  return checkpointOf({
    place: dir,
    absence: present?.absence,
    config: readJson(dir, 'config.json', { required: false }),
    maps: files.map((file) => () => mapFile(join(dir, file))),
  });
}

/** Whether every safetensors file of the model is in its folder. @throws FiddlerError `file`: a broken index */
export function hasSafetensors(dir: string): boolean {
  const index = localIndex(dir);
  return (index?.shards ?? [SINGLE_FILE]).every((file) => existsSync(join(dir, file)));
}

function localIndex(dir: string): ShardIndex | undefined {
  if (existsSync(join(dir, SINGLE_FILE))) return undefined;
  return readIndex(dir, readJson(dir, INDEX_FILE, { required: true }));
}

/** The files of one model. */
export interface SafetensorsFiles {
  /** Their folder or repository, for error messages. */
  place: string;
  /** Why a tensor is in none of them, where an index names it. */
  absence?: PresentShards['absence'];
  config: JsonObject | undefined;
  /** Map the files, in order; each `file` is `place` and its name. */
  maps: readonly (() => Mapping)[];
}

/** Reads the headers of files as they are mapped. @throws FiddlerError as {@link openSafetensors} */
export function checkpointOf({ place, absence, config, maps }: SafetensorsFiles): Checkpoint {
  const mappings: Mapping[] = [];
  try {
    const tensors = new Map<string, StoredTensor>();
    const unsupported = new Map<string, UnsupportedTensor>();
    for (const map of maps) {
      const mapping = map();
      mappings.push(mapping);
      for (const tensor of readHeader(mapping)) {
        const earlier = tensors.get(tensor.name) ?? unsupported.get(tensor.name);
        if (earlier) throw broken(mapping.file, `tensor ${quote(tensor.name)} is in ${earlier.file} too`);
        if ('address' in tensor) tensors.set(tensor.name, tensor);
        else unsupported.set(tensor.name, tensor);
      }
    }
    const { scaleBlock } = readQuantization(config);
    return new MappedCheckpoint(place, mappings, withNvfp4(tensors), unsupported, scaleBlock, absence);
  } catch (error) {
    for (const mapping of mappings) unmap(mapping);
    throw error;
  }
}
