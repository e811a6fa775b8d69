import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ErrorCode } from '../../src/errors.js';
import { fetchHub, type HubOptions } from '../../src/weights/hub/hub.js';
import { fiddlerRejection } from './errors.js';
import { temporaryFolder } from './folder.js';
import { type HubServer, hubServer, type Interception } from './hub-server.js';
import { SMALL_MODEL } from './model.js';
import { type TensorToWrite, writeSafetensors } from './safetensors.js';

export const ID = 'org/model';
export const SINGLE = 'model.safetensors';
export const INDEX = 'model.safetensors.index.json';

/** Options for that server, without the token and the patience of whoever runs the tests. */
export function options(
  { endpoint }: Pick<HubServer, 'endpoint'>,
  env: NodeJS.ProcessEnv = {},
): HubOptions & { env: object } {
  return { timeout: 20_000, attempts: 3, pause: 2, env: { HF_HOME: temporaryFolder(), HF_ENDPOINT: endpoint, ...env } };
}

/** The message with which a repository like the small model is refused where the server answers so. */
export async function refusal(code: ErrorCode, intercept: Interception, env = {}, dir = SMALL_MODEL) {
  const hub = await hubServer(dir, ID, { intercept });
  return { message: await fiddlerRejection(code, fetchHub(ID, options(hub, env))), hub };
}

export const tensor = (name: string, bytes = 8): TensorToWrite => ({
  name,
  dtype: 'BF16',
  shape: [bytes / 2],
  data: new Uint8Array(bytes),
});

/** A folder of `count` shards with a tensor each. */
export function shardedFolder(count: number, config: object = {}): string {
  const dir = temporaryFolder();
  const shard = (i: number) => `model-${i}.safetensors`;
  for (let i = 0; i < count; i++) writeSafetensors(join(dir, shard(i)), [tensor(`t${i}`)]);
  const weightMap = Object.fromEntries(Array.from({ length: count }, (_, i) => [`t${i}`, shard(i)]));
  writeFileSync(join(dir, INDEX), JSON.stringify({ weight_map: weightMap }));
  writeFileSync(join(dir, 'config.json'), JSON.stringify(config));
  return dir;
}

export function singleFolder(file: Uint8Array, config: object = {}): string {
  const dir = temporaryFolder();
  writeFileSync(join(dir, SINGLE), file);
  writeFileSync(join(dir, 'config.json'), JSON.stringify(config));
  return dir;
}
