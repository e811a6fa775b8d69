import { join } from 'node:path';
import { FiddlerError } from '../errors.js';
import { checkDisk, type Download, type DownloadProgress, download, planDownload } from '../weights/hub/download.js';
import { type HubOptions, withRepository } from '../weights/hub/hub.js';
import type { FileEntry } from '../weights/hub/listing.js';
import type { Downloadable } from '../weights/hub/repository.js';
import { hubCache } from '../weights/hub/settings.js';
import { weightFiles } from '../weights/index.js';
import { ggufVariant } from './gguf.js';
import { type ModelSource, repositorySource } from './source.js';

/** What is downloaded beside weights in safetensors, where the repository has it. */
const COMPANIONS = [
  'config.json',
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'chat_template.jinja',
  'chat_template.json',
];

export interface PullOptions extends HubOptions {
  /** Called before weights are downloaded, unless all is here, with what fetches their headers; ends it by throwing. */
  agree?: (download: Download, headers: () => Promise<ModelSource>) => void | Promise<void>;
  onProgress?: (progress: DownloadProgress) => void;
}

/**
 * Downloads a model into the Hugging Face cache, as far as it is not there.
 * @param name `organisation/name`, with or without `@revision` and `:variant`
 * @returns its folder, or its GGUF file
 * @throws FiddlerError as `fetchHub` and `download`; `memory`: the disk does not hold it; and what `agree` throws
 */
export function pullModel(
  name: string,
  { agree = () => {}, onProgress, ...options }: PullOptions = {},
): Promise<string> {
  return withRepository(name, options, async (repository) => {
    const gguf = ggufVariant(repository);
    const files = gguf ? gguf.files : await folderFiles(repository);
    const entries = entriesOf(repository, await repository.list(), files);
    const plan = planDownload(repository, entries, hubCache(options.env ?? process.env));
    checkDisk(plan);
    if (plan.missing > 0) await agree(plan, () => repositorySource(name, repository));
    const folder = await download(repository, plan, onProgress);
    return gguf ? join(folder, gguf.files[0]!) : folder;
  });
}

async function folderFiles(repository: Downloadable): Promise<string[]> {
  const companions = COMPANIONS.filter((file) => repository.files.has(file));
  return [...companions, ...(await weightFiles(repository))];
}

function entriesOf({ id }: Downloadable, listed: readonly FileEntry[], files: readonly string[]): FileEntry[] {
  const entries = new Map(listed.map((entry) => [entry.path, entry]));
  return files.map((file) => {
    const entry = entries.get(file);
    if (entry) return entry;
    throw new FiddlerError('network', `${id} has ${file}, but lists no size of it`, 'try again later');
  });
}
