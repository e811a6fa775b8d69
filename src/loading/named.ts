import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { FiddlerError } from '../errors.js';
import { chooseVariant, variantsNamed, variantsOf } from '../weights/gguf/variants.js';
import { snapshotFolder } from '../weights/hub/cache.js';
import type { HubOptions } from '../weights/hub/hub.js';
import { parseRepositoryId, type RepositoryId } from '../weights/hub/id.js';
import { hasWeights } from '../weights/index.js';
import type { ModelSource } from './source.js';

/** What the name of a model means: a folder or file that is here, or a repository of the hub whose weights are not. */
export type NamedModel = { path: string } | { repository: RepositoryId };

/**
 * The one place that says what a model may be named by: a path, or, where there is none of that name, the repository
 * `organisation/name`, with or without `@revision` and `:variant`, which is a path once it is downloaded.
 * @throws FiddlerError `usage`: several downloaded GGUF models, none of them named
 */
export function findModel(name: string, env: NodeJS.ProcessEnv = process.env): NamedModel {
  const repository = existsSync(name) ? undefined : parseRepositoryId(name);
  if (!repository) return { path: name };
  const path = downloadedModel(repository, env);
  return path === undefined ? { repository } : { path };
}

/** The folder or GGUF file of a repository that is downloaded whole. */
function downloadedModel(repository: RepositoryId, env: NodeJS.ProcessEnv): string | undefined {
  const folder = snapshotFolder(repository, env);
  if (!existsSync(folder)) return undefined;
  const { id, variant } = repository;
  if (variant === undefined && existsSync(join(folder, 'config.json'))) return hasWeights(folder) ? folder : undefined;
  const here = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) =>
    existsSync(join(folder, file)),
  );
  const models = variantsOf(here).filter(({ missing }) => missing === undefined);
  const named = variant === undefined ? models : variantsNamed(models, variant);
  return named.length === 0 ? undefined : join(folder, chooseVariant(id, named, variant).files[0]!);
}

/** The path of a model whose weights are to be read. @throws FiddlerError `file`: a repository that is not downloaded */
export function localModel(name: string, env?: NodeJS.ProcessEnv): string {
  const found = findModel(name, env);
  if ('path' in found) return found.path;
  const problem = `there is no folder or file ${name}, and no downloaded repository of that name`;
  throw new FiddlerError('file', problem, `give the path of a model, or run \`fiddler pull ${name}\` first`);
}

/** A model of which only config and headers are read. @throws FiddlerError as `folderSource` and `fetchHub` */
export async function namedSource(name: string, options: HubOptions = {}): Promise<ModelSource> {
  const { folderSource, hubSource } = await import('./source.js'); // slow to import, and not needed for a path
  const found = findModel(name, options.env);
  return 'path' in found ? folderSource(found.path) : hubSource(name, options);
}
