import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { FiddlerError } from '../errors.js';
import { readJson } from '../weights/config.js';
import { fetchGguf } from '../weights/gguf/remote.js';
import { modelName } from '../weights/hub/cache.js';
import { describeRemote, type HubOptions, withRepository } from '../weights/hub/hub.js';
import type { Repository } from '../weights/hub/repository.js';
import { openCheckpoint } from '../weights/index.js';
import { ggufFile, ggufSource, ggufVariant, remoteGgufSource } from './gguf.js';
import type { ModelSource } from './model-source.js';

export type { ModelSource };

/** A folder as published on the Hugging Face hub, or a GGUF file, or a folder with one. @throws FiddlerError */
export function folderSource(dir: string): ModelSource {
  if (!existsSync(dir)) throw new FiddlerError('file', `there is no folder ${dir}`, 'give the folder of a model');
  const gguf = ggufFile(dir);
  if (gguf !== undefined) return ggufSource(gguf);
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
export function hubSource(name: string, options: HubOptions = {}): Promise<ModelSource> {
  return withRepository(name, options, (repository) => repositorySource(name, repository));
}

/** As {@link hubSource}, of a repository that is open. */
export async function repositorySource(name: string, repository: Repository): Promise<ModelSource> {
  const gguf = ggufVariant(repository);
  if (gguf) return remoteGgufSource(name, await fetchGguf(repository, gguf.files[0]!));
  const { config, generationConfig, open } = await describeRemote(repository);
  return { name, config, generationConfig, inMemory: false, tokenizer: true, open };
}
