import { FiddlerError } from '../../errors.js';
import type { Checkpoint } from '../checkpoint.js';
import type { JsonObject } from '../config.js';
import { fetchCheckpoint } from '../index.js';
import { parseRepositoryId } from './id.js';
import { type Downloadable, openRepository, type Repository } from './repository.js';
import { PATIENCE, type Patience } from './request.js';
import { hubSettings } from './settings.js';

export interface HubOptions extends Partial<Patience> {
  /** Ends the fetching, which then rejects with its reason. */
  signal?: AbortSignal;
  /** Where HF_ENDPOINT, HF_TOKEN and their like are read from; the process's own by default. */
  env?: NodeJS.ProcessEnv;
}

/** A model that is elsewhere. */
export interface RemoteModel {
  config: JsonObject;
  generationConfig?: JsonObject;
  /** A checkpoint of all tensors without their data: nothing may be read from its addresses. @throws FiddlerError */
  open(): Checkpoint;
}

/**
 * Opens a repository for `use`, and ends what that left under way.
 * @param name `organisation/name`, with or without `@revision` and `:variant`
 * @throws FiddlerError `usage` (no such name, wrong settings), `file` (the repository or its revision does not exist),
 *   `network` (out of reach, no access, wrong answers), and whatever `use` throws
 */
export async function withRepository<T>(
  name: string,
  { signal, env = process.env, ...patience }: HubOptions,
  use: (repository: Downloadable) => Promise<T>,
): Promise<T> {
  const id = parseRepositoryId(name);
  if (!id) throw new FiddlerError('usage', `${name} names no repository`, 'give organisation/name');
  const failed = new AbortController(); // ends the other requests when one failed
  try {
    const repository = await openRepository(id, {
      settings: hubSettings(env),
      patience: { ...PATIENCE, ...patience },
      signal: signal ? AbortSignal.any([signal, failed.signal]) : failed.signal,
    });
    return await use(repository);
  } finally {
    failed.abort();
  }
}

/**
 * Fetches what describes a model from a hub: its configs and the headers of its weights, a few KB each.
 * @throws FiddlerError as {@link withRepository}; `file` (a file does not exist or is broken), `unsupported` (weights in
 *   another format)
 */
export function fetchHub(name: string, options: HubOptions = {}): Promise<RemoteModel> {
  return withRepository(name, options, describeRemote);
}

/** As {@link fetchHub}, of a repository that is open. */
export async function describeRemote(repository: Repository): Promise<RemoteModel> {
  const optional = 'generation_config.json';
  const [open, config, generationConfig] = await Promise.all([
    fetchCheckpoint(repository),
    repository.readJson('config.json'),
    repository.files.has(optional) ? repository.readJson(optional) : undefined,
  ]);
  return { config, generationConfig, open: () => open(config) };
}
