import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { describe as describeModel, drawBlueprint } from '../../../src/loading/blueprint.js';
import { folderSource, hubSource, type ModelSource } from '../../../src/loading/source.js';
import type { Checkpoint } from '../../../src/weights/checkpoint.js';
import { fetchHub } from '../../../src/weights/hub/hub.js';
import { openCheckpoint } from '../../../src/weights/index.js';
import { fiddlerRejection } from '../../support/errors.js';
import { temporaryFolder } from '../../support/folder.js';
import { ID, options, SINGLE, shardedFolder, singleFolder, tensor } from '../../support/hub.js';
import { COMMIT, fileServer, type HubServer, hubServer, sendRange } from '../../support/hub-server.js';
import { SMALL_MODEL } from '../../support/model.js';
import { safetensorsBytes, writeSafetensors } from '../../support/safetensors.js';

describe('a repository on a hub', () => {
  it.each([SMALL_MODEL, 'models/mini-mixtral'])('gives the blueprint that its folder gives: %s', async (dir) => {
    const hub = await hubServer(dir, ID);
    const remote = await hubSource(ID, options(hub));
    expect(remote.name).toBe(ID);
    expect(blueprint(remote, ID)).toEqual(blueprint(folderSource(dir), dir));
    expect(hub.seen.filter(({ path }) => path.endsWith('.safetensors')).every(({ range }) => range)).toBe(true);
  });

  it('has the tensors of its files, whatever their headers', async () => {
    const sizes = fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 3 });
    const kind = fc.constantFrom(
      ['F32', 4] as const,
      ['BF16', 2] as const,
      ['F8_E4M3', 1] as const,
      ['I64', 8] as const,
    );
    const tensors = fc.uniqueArray(fc.record({ name: fc.string(), shape: sizes, kind }), {
      selector: ({ name }) => name,
      maxLength: 12,
    });
    await fc.assert(
      fc.asyncProperty(tensors, async (all) => {
        const dir = singleFolder(new Uint8Array());
        const written = all
          .filter(({ name }) => name !== '__metadata__' && name !== '__proto__')
          .map(({ name, shape, kind: [dtype, bytes] }) => {
            return { name, shape, dtype, data: new Uint8Array(shape.reduce((a, b) => a * b, bytes)) };
          });
        writeSafetensors(join(dir, SINGLE), written);
        await expectSame(dir, await hubServer(dir));
      }),
      { numRuns: 25 },
    );
  });

  it('is read in parts of its headers, a few at once, at one commit', async () => {
    const dir = shardedFolder(30, { quantization_config: { quant_method: 'fp8', weight_block_size: [128, 64] } });
    const hub = await hubServer(dir, ID, { delay: 60 });
    await expectSame(dir, hub);
    expect(hub.most()).toBe(8);
    expect(hub.seen).toHaveLength(1 + 2 + 30);
    expect(hub.seen.slice(1).every(({ path }) => path.startsWith(`/${ID}/resolve/${COMMIT}/`))).toBe(true);
  });

  it('of large files costs their headers alone', async () => {
    const dir = singleFolder(new Uint8Array());
    writeSafetensors(join(dir, SINGLE), [tensor('large', 40_000_000)]);
    const hub = await hubServer(dir);
    await expectSame(dir, hub);
    expect(hub.sent()).toBeLessThan((256 << 10) + 2000);
  });

  it('is asked for the rest of a long header', async () => {
    const dir = singleFolder(new Uint8Array());
    const names = Array.from({ length: 5000 }, (_, i) => `model.layers.${i}.a.long.name.of.a.tensor.weight`);
    writeSafetensors(
      join(dir, SINGLE),
      names.map((name) => tensor(name)),
    );
    const hub = await hubServer(dir);
    await expectSame(dir, hub);
    const ranges = hub.seen.filter(({ path }) => path.endsWith(SINGLE)).map(({ range }) => range);
    expect(ranges).toEqual(['bytes=0-262143', expect.stringMatching(/^bytes=262144-/)]);
  });

  it('may be larger than this machine', async () => {
    const size = 700e9;
    const header = JSON.stringify({ w: { dtype: 'BF16', shape: [size / 2], data_offsets: [0, size] } });
    const head = safetensorsBytes(header, new Uint8Array(0));
    const hub = await hubServer(singleFolder(head), ID, {
      intercept: (request, response) => {
        if (!request.url!.endsWith(SINGLE)) return false;
        const first = new Uint8Array(256 << 10);
        first.set(head);
        sendRange(first, request, response, head.length + size);
        return true;
      },
    });
    const model = await fetchHub(ID, options(hub));
    for (let i = 0; i < 3; i++) {
      const checkpoint = model.open();
      expect(checkpoint.get('w').bytes).toBe(size);
      checkpoint.close();
    }
  });

  it('gets the token, which a network that delivers its files does not', async () => {
    const cdn = await fileServer(SMALL_MODEL);
    const hub = await hubServer(SMALL_MODEL, ID, { cdn: cdn.endpoint });
    (await fetchHub(ID, options(hub, { HF_TOKEN: ' hf_secret\n' }))).open().close();
    expect(new Set(hub.seen.map(({ authorization }) => authorization))).toEqual(new Set(['Bearer hf_secret']));
    expect(cdn.seen).toEqual([{ path: `/${SINGLE}`, range: 'bytes=0-262143', authorization: undefined }]);
  });

  it('finds the token where it is stored, and sends none where there is none', async () => {
    const hub = await hubServer(SMALL_MODEL);
    const home = temporaryFolder();
    const other = join(home, 'other');
    const last = () => hub.seen.at(-1)!.authorization;
    await fetchHub(ID, options(hub, { HF_HOME: home }));
    expect(last()).toBeUndefined();
    writeFileSync(join(home, 'token'), 'hf_stored\n');
    await fetchHub(ID, options(hub, { HF_HOME: home }));
    expect(last()).toBe('Bearer hf_stored');
    writeFileSync(other, 'hf_other');
    await fetchHub(ID, options(hub, { HF_HOME: home, HF_TOKEN_PATH: other }));
    expect(last()).toBe('Bearer hf_other');
    expect(await fiddlerRejection('usage', fetchHub(ID, options(hub, { HF_TOKEN: 'a b' })))).not.toContain('a b');
  });

  it('is asked for the revision that its name gives', async () => {
    const hub = await hubServer(SMALL_MODEL);
    await fetchHub(`${ID}@${COMMIT}`, options(hub));
    expect(hub.seen[0]!.path).toBe(`/api/models/${ID}/revision/${COMMIT}`);
    const message = await fiddlerRejection('file', fetchHub(`${ID}@refs/pr/1`, options(hub)));
    expect(message).toContain(`${ID} has no revision refs/pr/1`);
  });
});

/** Every tensor with its place in its file, whose name has no folder. */
function tensorsOf(checkpoint: Checkpoint) {
  return [...checkpoint.tensors.values()].map(({ address, file, ...rest }) => {
    const region = checkpoint.regions.find((r) => address >= r.address && address <= r.address + BigInt(r.bytes))!;
    return { ...rest, file: file.split('/').at(-1), offset: address - region.address };
  });
}

async function expectSame(dir: string, hub: HubServer) {
  const local = openCheckpoint(dir);
  const remote = (await fetchHub(ID, options(hub))).open();
  try {
    expect(tensorsOf(remote)).toEqual(tensorsOf(local));
    expect(remote.scaleBlock).toEqual(local.scaleBlock);
  } finally {
    local.close();
    remote.close();
  }
}

/** A blueprint in which addresses are offsets and files have no folder. */
function blueprint(source: ModelSource, place: string): unknown {
  const description = describeModel(source);
  const checkpoint = source.open(description.spec, description.declarations);
  try {
    const drawn = drawBlueprint(description, checkpoint, 'auto');
    const bases = checkpoint.regions.map(({ address, bytes }) => [address, BigInt(bytes)] as const);
    const plain = (_: string, value: unknown) => {
      if (typeof value === 'bigint') return Number(value - bases.find(([a, b]) => value >= a && value <= a + b)![0]);
      if (value instanceof Set || value instanceof Map) return [...value];
      return typeof value === 'string' ? value.replace(`${place}/`, '') : value;
    };
    const text = JSON.stringify({ ...drawn, tensors: [...checkpoint.tensors.values()] }, plain);
    expect(text.length).toBeGreaterThan(10_000);
    return JSON.parse(text);
  } finally {
    checkpoint.close();
  }
}
