import { readFileSync } from 'node:fs';
import { basename, join, resolve, sep } from 'node:path';
import type { RepositoryId } from './id.js';
import { hubCache } from './settings.js';

/** The folder in which huggingface_hub keeps a repository at a revision, `models--organisation--name/snapshots/commit`. */
export function snapshotFolder({ id, revision }: RepositoryId, env: NodeJS.ProcessEnv): string {
  const folder = repositoryFolder(hubCache(env), id);
  return join(folder, 'snapshots', readCommit(join(folder, 'refs', revision)) ?? revision);
}

/** Where a cache keeps a repository. */
export function repositoryFolder(cache: string, id: string): string {
  return join(cache, `models--${id.replace('/', '--')}`);
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
