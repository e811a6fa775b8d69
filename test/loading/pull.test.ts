import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { findModel, localModel } from '../../src/loading/named.js';
import { type PullOptions, pullModel } from '../../src/loading/pull.js';
import { fiddlerError, fiddlerRejection } from '../support/errors.js';
import { temporaryFolder } from '../support/folder.js';
import { ID, options } from '../support/hub.js';
import { COMMIT, hubServer } from '../support/hub-server.js';
import { SMALL_MODEL } from '../support/model.js';

/** A repository of GGUF files, one of them in shards, with something else beside. */
function ggufRepository(): string {
  const dir = temporaryFolder();
  mkdirSync(join(dir, 'BF16'));
  const files = ['m-Q4_K_M.gguf', 'm-Q8_0.gguf', 'BF16/m-BF16-00001-of-00002.gguf', 'BF16/m-BF16-00002-of-00002.gguf'];
  for (const file of [...files, 'README.md', 'mmproj-F16.gguf']) writeFileSync(join(dir, file), `this is ${file}`);
  return dir;
}

async function pull(dir: string, name = ID, more: PullOptions = {}) {
  const hub = await hubServer(dir, ID);
  const settings = options(hub, { HF_HOME: temporaryFolder() });
  return { path: await pullModel(name, { ...settings, ...more }), env: settings.env as NodeJS.ProcessEnv, hub };
}

describe('a model that is pulled', () => {
  it('is what runs need of a repository, and found by its name from then on', async () => {
    const dir = temporaryFolder();
    for (const file of ['config.json', 'generation_config.json', 'model.safetensors']) {
      copyFileSync(join(SMALL_MODEL, file), join(dir, file));
    }
    writeFileSync(join(dir, 'pytorch_model.bin'), 'not needed');
    const { path, env, hub } = await pull(dir);
    expect(basename(path)).toBe(COMMIT);
    expect(existsSync(join(path, 'model.safetensors'))).toBe(true);
    expect(existsSync(join(path, 'pytorch_model.bin'))).toBe(false);
    const asked = hub.seen.length;
    expect(findModel(ID, env)).toEqual({ path });
    expect(findModel(`${ID}@${COMMIT}`, env)).toEqual({ path });
    expect(hub.seen).toHaveLength(asked);
    rmSync(join(path, 'model.safetensors'));
    expect(findModel(ID, env)).toEqual({ repository: { id: ID, revision: 'main' } });
    expect(fiddlerError('file', () => localModel(ID, env))).toContain(`fiddler pull ${ID}`);
  });

  it('is one of several GGUF files, by its type', async () => {
    const { path, env, hub } = await pull(ggufRepository(), `${ID}:q4_k_m`);
    expect(readFileSync(path, 'utf8')).toBe('this is m-Q4_K_M.gguf');
    expect(hub.seen.filter(({ path: asked }) => asked.endsWith('.gguf'))).toHaveLength(1);
    expect(findModel(`${ID}:Q4_K_M`, env)).toEqual({ path });
    expect(findModel(ID, env)).toEqual({ path }); // the only one that is here
    expect(findModel(`${ID}:Q8_0`, env)).toEqual({ repository: { id: ID, revision: 'main', variant: 'Q8_0' } });
  });

  it('has its shards together', async () => {
    const { path, env } = await pull(ggufRepository(), `${ID}:BF16`);
    expect(path.endsWith('BF16/m-BF16-00001-of-00002.gguf')).toBe(true);
    expect(existsSync(path.replace('00001-of', '00002-of'))).toBe(true);
    rmSync(path.replace('00001-of', '00002-of'));
    expect(findModel(`${ID}:BF16`, env)).toHaveProperty('repository');
  });

  it('is agreed to before, where something is missing', async () => {
    const dir = ggufRepository();
    const hub = await hubServer(dir, ID);
    const settings = options(hub, { HF_HOME: temporaryFolder() });
    const refusing = pullModel(`${ID}:Q8_0`, {
      ...settings,
      agree: ({ total, missing }) => {
        expect({ total, missing }).toEqual({ total: 19, missing: 19 });
        throw new Error('no');
      },
    });
    await expect(refusing).rejects.toThrow('no');
    expect(hub.seen.some(({ path }) => path.endsWith('.gguf'))).toBe(false);
    await pullModel(`${ID}:Q8_0`, settings);
    await pullModel(`${ID}:Q8_0`, { ...settings, agree: () => expect.unreachable() });
  });

  it('is named with the choices where none or several are meant', async () => {
    const hub = await hubServer(ggufRepository(), ID);
    const message = (name: string) => fiddlerRejection('usage', pullModel(name, options(hub)));
    expect(await message(ID)).toContain('give one of them behind a colon: BF16, Q4_K_M, Q8_0');
    expect(await message(`${ID}:Q6_K`)).toContain(`${ID} holds no Q6_K`);
    const none = await hubServer(temporaryFolder(), ID);
    expect(await fiddlerRejection('unsupported', pullModel(ID, options(none)))).toContain('holds no weights');
  });
});
