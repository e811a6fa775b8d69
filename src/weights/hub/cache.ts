import { existsSync, readFileSync } from 'node:fs';
import { basename, join, resolve, sep } from 'node:path';
import { FiddlerError } from '../../errors.js';
import { parseRepositoryId, type RepositoryId } from './id.js';
import { hubCache } from './settings.js';

/**
 * The folder that `name` means: one of that name, or where there is none, that of a downloaded repository.
 * @param name a path, or `organisation/name` with or without `@revision`
 * @throws FiddlerError `file`: a repository that is not downloaded
 */
export function resolveModel(name: string, env: NodeJS.ProcessEnv = process.env): string {
  const repository = existsSync(name) ? undefined : parseRepositoryId(name);
  if (!repository) return name;
  const folder = downloadedFolder(repository, env);
  if (folder !== undefined) return folder;
  const problem = `there is no folder ${name}, and no downloaded repository of that name`;
  throw new FiddlerError('file', problem, `give the folder of a model, or run \`hf download ${repository.id}\` first`);
}

/**
 * The folder into which huggingface_hub downloaded a repository: `models--organisation--name/snapshots/commit`.
 * @returns undefined where there is no config.json; weights may be missing
 */
export function downloadedFolder({ id, revision }: RepositoryId, env: NodeJS.ProcessEnv): string | undefined {
  const folder = join(hubCache(env), `models--${id.replace('/', '--')}`);
  const snapshot = join(folder, 'snapshots', readCommit(join(folder, 'refs', revision)) ?? revision);
  return existsSync(join(snapshot, 'config.json')) ? snapshot : undefined;
}

/** What a model in the folder `dir` is called: by its repository, if huggingface_hub downloaded it. */
export function modelName(dir: string): string {
  const [repository, snapshots] = resolve(dir).split(sep).slice(-3, -1);
  const [, organisation, name] = /^models--(.+?)--(.+)$/.exec(repository ?? '') ?? [];
  return snapshots === 'snapshots' && organisation !== undefined ? `${organisation}/${name}` : basename(resolve(dir));
}

/** The commit that a file of refs/ names. */
function readCommit(ref: string): string | undefined {
  try {
    return readFileSync(ref, 'utf8').trim();
  } catch {
    return undefined; // a commit has no such file
  }
}
