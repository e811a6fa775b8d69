import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { fetchHub } from '../../../src/weights/hub/hub.js';
import { fiddlerError, fiddlerRejection } from '../../support/errors.js';
import { temporaryFolder } from '../../support/folder.js';
import { ID, INDEX, options, refusal, SINGLE, shardedFolder, singleFolder, tensor } from '../../support/hub.js';
import { hubServer, type Interception, refuse } from '../../support/hub-server.js';
import { safetensorsBytes, writeSafetensors } from '../../support/safetensors.js';

describe('a repository is refused:', () => {
  const weights: (answer: Interception) => Interception = (answer) => (request, response, nth) =>
    request.url!.endsWith('.safetensors') && answer(request, response, nth) !== undefined;
  const api: (status: number, code?: string, headers?: Record<string, string>) => Interception =
    (status, code, headers) => (request, response) => {
      if (request.url!.startsWith('/api/')) refuse(response, status, code, headers);
      return request.url!.startsWith('/api/');
    };

  it.each([
    ['file', 'there is no repository org/model', api(401, 'RepoNotFound'), 'needs HF_TOKEN'],
    ['file', 'there is no repository org/model', api(404, 'RepoNotFound'), 'check its name'],
    ['file', 'there is no repository org/model', api(401), 'needs HF_TOKEN'],
    ['file', 'there is no repository org/model', api(404), 'check its name'],
    ['network', 'only to those who have access', api(401, 'GatedRepo'), 'accept its conditions at'],
    ['network', 'only to those who have access', api(403, 'GatedRepo'), 'then set HF_TOKEN'],
    ['network', 'is disabled.', api(403, undefined, { 'X-Error-Message': 'Access is disabled.' }), 'HF_ENDPOINT'],
    ['network', 'refuses org/model: 418', api(418), 'HF_ENDPOINT'],
  ] as const)('%s: %s', async (code, problem, intercept, remedy) => {
    const { message, hub } = await refusal(code, intercept);
    expect(message).toContain(problem);
    expect(message).toContain(remedy);
    expect(hub.seen).toHaveLength(1);
  });

  it.each([
    ['network', 'does not accept your token', api(401), 'to none'],
    ['network', 'only to those who have access', api(403, 'GatedRepo'), 'with the account of your token'],
    ['file', 'there is no repository', api(404, 'RepoNotFound'), 'what your token may read'],
  ] as const)('with a token, %s: %s', async (code, problem, intercept, remedy) => {
    const { message } = await refusal(code, intercept, { HF_TOKEN: 'hf_secret' });
    expect(message).toContain(problem);
    expect(message).toContain(remedy);
    expect(message).not.toContain('hf_secret');
  });

  it('gated after its listing was given', async () => {
    const gate: Interception = (request, response) => {
      if (!request.url!.includes('/resolve/')) return false;
      refuse(response, 401, 'GatedRepo');
      return true;
    };
    expect((await refusal('network', gate)).message).toContain('only to those who have access');
  });

  it('without a config, without weights, with weights of another format, with shards missing', async () => {
    const dir = temporaryFolder();
    const message = async (code: 'file' | 'unsupported') => (await refusal(code, () => false, {}, dir)).message;
    expect(await message('unsupported')).toContain('it has no files');
    for (const file of ['README.md', 'a.Q4_K_M.gguf', 'b.gguf']) writeFileSync(join(dir, file), '');
    expect(await message('unsupported')).toMatch(
      /no weights .*looked for model\.safetensors.*it has 2 \.gguf, 1 \.md;/,
    );
    writeSafetensors(join(dir, SINGLE), [tensor('a')]);
    expect(await message('file')).toContain(`${ID} has no file config.json`);

    const index = { weight_map: { a: 'absent.safetensors' } };
    const sharded = shardedFolder(1);
    writeFileSync(join(sharded, INDEX), JSON.stringify(index));
    const missing = await refusal('file', () => false, {}, sharded);
    expect(missing.message).toContain('"absent.safetensors", missing in org/model');
    writeFileSync(join(sharded, INDEX), JSON.stringify({ weight_map: { a: '../../../secret' } }));
    expect((await refusal('file', () => false, {}, sharded)).message).toContain('is not a plain file name');
    writeFileSync(join(sharded, INDEX), '{');
    expect((await refusal('file', () => false, {}, sharded)).message).toContain('is not valid JSON at line 1');
  });

  it('with damaged headers', async () => {
    const message = async (file: Uint8Array) => (await refusal('file', () => false, {}, singleFolder(file))).message;
    expect(await message(new Uint8Array(0))).toContain('org/model/model.safetensors is empty');
    expect(await message(new Uint8Array(7))).toContain('too few for a header');
    expect(await message(new Uint8Array(16).fill(1))).toContain('the file ends after 16');
    expect(await message(Buffer.from('version https://git-lfs.github.com/spec/v1\n'))).toContain('Git LFS pointer');

    const open = async (dir: string) => (await fetchHub(ID, options(await hubServer(dir)))).open;
    const broken = await open(singleFolder(safetensorsBytes('{"a":', new Uint8Array(8))));
    expect(fiddlerError('file', broken)).toContain('org/model/model.safetensors: its header is not JSON');
    const overlong = { a: { dtype: 'F32', shape: [4], data_offsets: [0, 16] } };
    const cut = await open(singleFolder(safetensorsBytes(JSON.stringify(overlong), new Uint8Array(8))));
    expect(fiddlerError('file', cut)).toContain('the file has only 8');
    const twice = shardedFolder(2);
    writeSafetensors(join(twice, 'model-1.safetensors'), [tensor('t0')]);
    expect(fiddlerError('file', await open(twice))).toContain('"t0" is in org/model/model-0.safetensors too');
    const awq = await open(
      singleFolder(safetensorsBytes('{}', new Uint8Array()), { quantization_config: { quant_method: 'awq' } }),
    );
    expect(fiddlerError('unsupported', awq)).toContain('quantization_config.quant_method');
  });

  it('with headers that are too much in all, of which the last are not taken', async () => {
    const dir = shardedFolder(7);
    const size = 1e9;
    const message = await refusal(
      'network',
      (request, response) => {
        const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
        if (first === undefined || !request.url!.includes('model-')) return false;
        response.writeHead(206, { 'Content-Range': `bytes ${first}-${last}/${size}` });
        const head = Buffer.alloc(Number(last) + 1 - Number(first));
        if (first === '0') head.writeBigUInt64LE(99_000_000n);
        if (first === '0') response.end(head);
        else response.write(head.subarray(0, 1)); // the rest never comes
        return true;
      },
      {},
      dir,
    );
    expect(message.message).toContain('have more than 536870912 bytes in all');
  });

  it('with a commit or a file whose name is none', async () => {
    const commits = ['\ud800', '../../../outside', 'a/b', '..', ''].map((sha) => ({ sha }));
    for (const wrong of [...commits, { siblings: [{ rfilename: '\udfff' }] }]) {
      const { message } = await refusal('file', (request, response) => {
        if (!request.url!.includes('/api/')) return false;
        response.end(JSON.stringify({ sha: 'abc', siblings: [], ...wrong }));
        return true;
      });
      expect(message).toMatch(/not a (name|commit)/);
    }
  });

  it('by a server that ignores ranges, of whose file next to nothing is taken', async () => {
    let taken = 0;
    const { message } = await refusal(
      'network',
      weights((_, response) => {
        response.writeHead(200, { 'Content-Length': 1e12 });
        const pour = () => {
          while (!response.destroyed && response.write(new Uint8Array(1 << 16))) taken += 1 << 16;
        };
        response.on('drain', pour);
        pour();
        return true;
      }),
    );
    expect(message).toContain('the whole file, which is not downloaded');
    expect(taken).toBeLessThan(32 << 20); // what fits into the buffers of the connection
  });

  it.each([
    ['another part', { 'Content-Range': 'bytes 8-15/100', 'Content-Length': '8' }],
    ['another part', { 'Content-Range': 'bytes 0-7/*', 'Content-Length': '8' }],
    ['another part', { 'Content-Range': 'bytes 0-999999999/1000000000' }],
    ['another part', {}],
    ['is longer than the 4 bytes', { 'Content-Range': 'bytes 0-3/100' }],
    ['8 bytes instead of 100', { 'Content-Range': 'bytes 0-99/100' }],
  ])('by a server that gives %s: %j', async (problem, headers) => {
    const { message } = await refusal(
      'network',
      weights((_, response) => {
        response.writeHead(206, headers as Record<string, string>);
        response.write(new Uint8Array(8));
        response.end();
        return true;
      }),
    );
    expect(message).toContain(problem);
  });

  it('with settings that make no sense', async () => {
    const message = (env: NodeJS.ProcessEnv, code: 'usage' | 'network' = 'usage') =>
      fiddlerRejection(code, fetchHub(ID, options({ endpoint: 'http://127.0.0.1:1' }, env)));
    expect(await message({ HF_ENDPOINT: 'huggingface.co' })).toContain('HF_ENDPOINT is no address: huggingface.co');
    expect(await message({ HF_ENDPOINT: 'file:///etc' })).toContain('HF_ENDPOINT is no address');
    expect(await message({ HF_HUB_OFFLINE: '1' }, 'network')).toContain('HF_HUB_OFFLINE');
    expect(await fiddlerRejection('usage', fetchHub('model'))).toContain('model names no repository');
  });
});
