import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { FiddlerError } from '../errors.js';
import { type Mapping, mapFile, unmap } from '../ggml/memory.js';
import type { Checkpoint, StoredTensor } from './checkpoint.js';
import { readJson, validate } from './config.js';
import { MappedCheckpoint, quote, type UnsupportedTensor } from './mapped.js';
import { readQuantization } from './quantization.js';
import { readHeader } from './safetensors-header.js';

export const SINGLE_FILE = 'model.safetensors';
export const INDEX_FILE = 'model.safetensors.index.json';

const indexSchema = z.object({ weight_map: z.record(z.string(), z.string()) });

/** Tensor name to the shard that holds it. */
type WeightMap = Readonly<Record<string, string>>;

/**
 * Maps the safetensors files of a model's folder: `model.safetensors`, or the shards that
 * `model.safetensors.index.json` names. Every header field is checked here; no weight is read.
 * Format: https://github.com/huggingface/safetensors#format
 * @throws FiddlerError `file`: a file is missing, truncated, or contradicts itself or the index; `unsupported`: a
 * quantization that config.json names
 */
export function openSafetensors(dir: string): Checkpoint {
  const weightMap = existsSync(join(dir, SINGLE_FILE)) ? undefined : readIndex(dir);
  const files = weightMap ? shardFiles(dir, weightMap) : [SINGLE_FILE];
  const mappings: Mapping[] = [];
  try {
    const tensors = new Map<string, StoredTensor>();
    const unsupported = new Map<string, UnsupportedTensor>();
    for (const file of files) {
      const mapping = mapFile(join(dir, file));
      mappings.push(mapping);
      for (const tensor of readHeader(mapping)) {
        const earlier = tensors.get(tensor.name) ?? unsupported.get(tensor.name);
        if (earlier) throw broken(mapping.file, `tensor ${quote(tensor.name)} is in ${earlier.file} too`);
        if ('address' in tensor) tensors.set(tensor.name, tensor);
        else unsupported.set(tensor.name, tensor);
      }
    }
    const find = (name: string) => tensors.get(name) ?? unsupported.get(name);
    if (weightMap) checkIndex(dir, weightMap, (name) => find(name)?.file);
    return new MappedCheckpoint(dir, mappings, tensors, unsupported, readQuantization(dir).scaleBlock);
  } catch (error) {
    for (const mapping of mappings) unmap(mapping);
    throw error;
  }
}

function readIndex(dir: string): WeightMap {
  const index = readJson(dir, INDEX_FILE, { required: true });
  return validate(indexSchema, index, join(dir, INDEX_FILE)).weight_map;
}

/** The shards an index names, each checked to be a plain file name of a file that exists. */
function shardFiles(dir: string, weightMap: WeightMap): string[] {
  const index = join(dir, INDEX_FILE);
  const files = [...new Set(Object.values(weightMap))].sort();
  if (files.length === 0) throw broken(index, 'it names no tensors');
  const foreign = files.find((file) => !isPlainName(file));
  if (foreign !== undefined) throw broken(index, `shard ${quote(foreign)} is not a plain file name`);
  const missing = files.filter((file) => !existsSync(join(dir, file)));
  if (missing.length > 0) {
    const count = missing.length === 1 ? '' : ` and ${missing.length - 1} more`;
    throw new FiddlerError(
      'file',
      `${index} names ${quote(missing[0]!)}${count}, missing in ${dir}`,
      'download the missing files into that folder',
    );
  }
  return files;
}

/** A name that cannot lead out of its folder. */
function isPlainName(file: string): boolean {
  return file !== '' && file !== '.' && file !== '..' && !/[/\\\0]/.test(file);
}

function checkIndex(dir: string, weightMap: WeightMap, fileOf: (name: string) => string | undefined): void {
  for (const [name, shard] of Object.entries(weightMap)) {
    if (fileOf(name) !== join(dir, shard)) {
      throw broken(join(dir, INDEX_FILE), `tensor ${quote(name)} is not in ${quote(shard)}, where the index puts it`);
    }
  }
}

function broken(file: string, problem: string): FiddlerError {
  return new FiddlerError('file', `${file}: ${problem}`, 'the download is damaged or incomplete; download it again');
}
