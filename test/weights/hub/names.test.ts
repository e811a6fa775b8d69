import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { localModel, namedSource } from '../../../src/loading/named.js';
import { parseRepositoryId } from '../../../src/weights/hub/id.js';
import { fiddlerError, fiddlerRejection } from '../../support/errors.js';
import { temporaryFolder } from '../../support/folder.js';
import { ID, options, SINGLE } from '../../support/hub.js';
import { COMMIT, hubServer } from '../../support/hub-server.js';
import { SMALL_MODEL } from '../../support/model.js';

describe('a name', () => {
  it('of a repository has one slash and plain characters', () => {
    expect(parseRepositoryId('org/na-me_1.5')).toEqual({ id: 'org/na-me_1.5', revision: 'main' });
    expect(parseRepositoryId('org/name@refs/pr/1')).toEqual({ id: 'org/name', revision: 'refs/pr/1' });
    for (const other of [
      'name',
      '/org/name',
      './name',
      '../org/name',
      'a/b/c',
      'org/',
      'org/na me',
      'org/name@',
      '~/name',
    ]) {
      expect(parseRepositoryId(other), other).toBeUndefined();
    }
  });

  /** The home of huggingface_hub with a repository downloaded into it. */
  function downloaded(files: readonly string[]) {
    const home = temporaryFolder();
    const folder = join(home, 'hub', 'models--org--model');
    const snapshot = join(folder, 'snapshots', COMMIT);
    for (const file of ['refs/main', `snapshots/${COMMIT}/x`])
      mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, 'refs', 'main'), COMMIT);
    for (const file of files) copyFileSync(join(SMALL_MODEL, file), join(snapshot, file));
    return { env: { HF_HOME: home }, snapshot };
  }

  it('means a folder, then a repository that is downloaded whole, then one that is not', async () => {
    const hub = await hubServer(SMALL_MODEL);
    const whole = downloaded(['config.json', SINGLE]);
    expect((await namedSource(SMALL_MODEL, options(hub))).name).toBe('mixtral');
    expect((await namedSource(ID, options(hub, whole.env))).name).toBe(ID);
    expect((await namedSource(`${ID}@${COMMIT}`, options(hub, whole.env))).name).toBe(ID);
    expect(hub.seen).toHaveLength(0);
    await namedSource(ID, options(hub, downloaded(['config.json']).env));
    expect(hub.seen).toHaveLength(4);
    expect(await fiddlerRejection('file', namedSource('./absent', options(hub)))).toContain(
      'there is no folder ./absent',
    );
  });

  it('means what is downloaded where weights are read', () => {
    const { env, snapshot } = downloaded(['config.json', SINGLE]);
    expect(localModel(ID, env)).toBe(snapshot);
    expect(localModel(SMALL_MODEL, env)).toBe(SMALL_MODEL);
    expect(localModel('./absent', env)).toBe('./absent');
    expect(fiddlerError('file', () => localModel('org/other', env))).toContain('fiddler pull org/other');
  });
});
