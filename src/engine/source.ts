import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { FiddlerError } from '../errors.js';
import type { ModelSpec } from '../models/model.js';
import type { Declarations } from '../models/parameters.js';
import type { Checkpoint } from '../weights/checkpoint.js';
import { type JsonObject, readJson } from '../weights/config.js';
import { downloadedFolder, modelName } from '../weights/hub/cache.js';
import { fetchHub, type HubOptions } from '../weights/hub/hub.js';
import { parseRepositoryId } from '../weights/hub/id.js';
import { hasWeights, openCheckpoint } from '../weights/index.js';

/** Where a model comes from. */
export interface ModelSource {
  name: string;
  config: JsonObject;
  generationConfig?: JsonObject;
  /** The weights take RAM from when they are opened, not as they are read. */
  inMemory: boolean;
  /** Text is read by its own tokenizer. */
  tokenizer: boolean;
  /** Its routing is random, so that no expert of it is popular. */
  synthetic?: true;
  /** Opens the weights of the model that the config describes. @throws FiddlerError */
  open(spec: ModelSpec, declarations: Declarations): Checkpoint;
}

/** A folder as published on the Hugging Face hub. @throws FiddlerError `file` */
export function folderSource(dir: string): ModelSource {
  if (!existsSync(dir)) throw new FiddlerError('file', `there is no folder ${dir}`, 'give the folder of a model');
  return {
    name: modelName(dir),
    config: readJson(dir, 'config.json', { required: true }),
    generationConfig: readJson(dir, 'generation_config.json', { required: false }),
    inMemory: false,
    tokenizer: existsSync(join(dir, 'tokenizer.json')),
    open: () => openCheckpoint(dir),
  };
}

/**
 * A model on the Hugging Face hub, by its configs and the headers of its weights: its checkpoint has no data to read.
 * @throws FiddlerError as `fetchHub`
 */
export async function hubSource(name: string, options: HubOptions = {}): Promise<ModelSource> {
  const { config, generationConfig, open } = await fetchHub(name, options);
  return { name, config, generationConfig, inMemory: false, tokenizer: true, open };
}

/**
 * What `name` means where only config and headers are read: a folder of that name, or the repository
 * `organisation/name`, with or without `@revision`, downloaded or not.
 * @throws FiddlerError as `folderSource` and `fetchHub`
 */
export async function namedSource(name: string, options: HubOptions = {}): Promise<ModelSource> {
  const repository = existsSync(name) ? undefined : parseRepositoryId(name);
  if (!repository) return folderSource(name);
  const folder = downloadedFolder(repository, options.env ?? process.env);
  return folder !== undefined && hasWeights(folder) ? folderSource(folder) : hubSource(name, options);
}
