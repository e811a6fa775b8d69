import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { expect } from 'vitest';
import { type DownloadProgress, download, planDownload } from '../../../src/weights/hub/download.js';
import { parseRepositoryId } from '../../../src/weights/hub/id.js';
import { type Downloadable, openRepository } from '../../../src/weights/hub/repository.js';
import { hubSettings } from '../../../src/weights/hub/settings.js';
import { temporaryFolder } from '../../support/folder.js';
import { ID } from '../../support/hub.js';
import type { HubServer, Interception } from '../../support/hub-server.js';

export const BIG = 'big.gguf';
export const PATIENCE = { timeout: 1000, attempts: 3, pause: 2 };

/** A repository of a large file, a small one and one in a folder. */
export function files(): string {
  const dir = temporaryFolder();
  writeFileSync(join(dir, BIG), randomBytes(1 << 20));
  writeFileSync(join(dir, 'config.json'), '{"model_type": "x"}');
  writeFileSync(join(dir, 'empty.txt'), '');
  mkdirSync(join(dir, 'Q8_0'));
  writeFileSync(join(dir, 'Q8_0', 'small.gguf'), randomBytes(1000));
  return dir;
}

export function open(
  hub: Pick<HubServer, 'endpoint'>,
  {
    revision = '',
    signal = new AbortController().signal,
    env = {},
  }: { revision?: string; signal?: AbortSignal; env?: NodeJS.ProcessEnv } = {},
) {
  const settings = hubSettings({ HF_HOME: temporaryFolder(), HF_ENDPOINT: hub.endpoint, ...env });
  return openRepository(parseRepositoryId(`${ID}${revision}`)!, { settings, patience: PATIENCE, signal });
}

export async function pull(repository: Downloadable, cache: string, onProgress?: (progress: DownloadProgress) => void) {
  return download(repository, planDownload(repository, await repository.list(), cache), onProgress);
}

/** Intercepts the `times` first requests for the large file. */
export const big =
  (
    answer: (response: ServerResponse, range: string | undefined) => void,
    times = Number.POSITIVE_INFINITY,
  ): Interception =>
  (request, response, nth) => {
    if (!request.url!.endsWith(BIG) || nth > times) return false;
    answer(response, request.headers.range);
    return true;
  };

export const folderOf = (cache: string) => join(cache, 'models--org--model');
export const blobs = (cache: string) => readdirSync(join(folderOf(cache), 'blobs'));

export function expectWhole(snapshot: string, dir: string): void {
  for (const file of [BIG, 'config.json', 'empty.txt', 'Q8_0/small.gguf']) {
    expect(readFileSync(join(snapshot, file)).equals(readFileSync(join(dir, file))), file).toBe(true);
  }
}
