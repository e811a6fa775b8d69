import { existsSync, mkdirSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { checkDisk, freeBytes, planDownload } from '../../../src/weights/hub/download.js';
import { fiddlerError, fiddlerRejection } from '../../support/errors.js';
import { temporaryFolder } from '../../support/folder.js';
import { ID } from '../../support/hub.js';
import { hubServer, type Interception, refuse, sendRange } from '../../support/hub-server.js';

import { BIG, big, blobs, expectWhole, files, folderOf, open, pull } from './downloading.js';

describe('a download is refused', () => {
  async function refused(code: 'network' | 'file', intercept: Interception) {
    const [dir, cache] = [files(), temporaryFolder()];
    const repository = await open(await hubServer(dir, ID, { intercept }));
    const message = await fiddlerRejection(code, pull(repository, cache));
    const left = blobs(cache).filter((name) => name.length === 64);
    for (const name of left) expect(statSync(join(folderOf(cache), 'blobs', name)).size).toBe(1000);
    expect(existsSync(join(folderOf(cache), 'refs'))).toBe(false);
    return { message, left: blobs(cache) };
  }

  it('where the bytes are not those of the checksum, and none of them is kept', async () => {
    const { message, left } = await refused(
      'network',
      big((response, range) => {
        sendRange(Buffer.alloc(1 << 20), { headers: { range } }, response);
      }),
    );
    expect(message).toContain(`${ID}/${BIG}: the bytes received are not those of its checksum`);
    expect(left.some((name) => name.includes('.incomplete'))).toBe(false);
  });

  it.each([
    ['a file of another size', (1 << 20) + 1],
    ['a file of another size', (1 << 20) - 1],
  ])('where the server gives %s than it lists (%i)', async (problem, size) => {
    const { message } = await refused(
      'network',
      big((response, range) => {
        const headers = { 'Content-Range': `bytes 0-99/${size}`, 'Content-Length': 100 };
        expect(range).toBe('bytes=0-');
        response.writeHead(206, headers).end(Buffer.alloc(100));
      }),
    );
    expect(message).toContain(problem);
  });

  it('where a server without ranges gives more than it lists, or ends early', async () => {
    const more = await refused(
      'network',
      big((response) => response.end(Buffer.alloc((1 << 20) + 1))),
    );
    expect(more.message).toContain('longer than the 1048576 bytes');
    const less = await refused(
      'network',
      big((response) => response.end(Buffer.alloc(100))),
    );
    expect(less.message).toMatch(/ends after 100 of 1048576 bytes \(3 attempts\)/);
  });

  it('where a server claims a length and closes', async () => {
    const { message, left } = await refused(
      'network',
      big((response) => {
        response.writeHead(200, { 'Content-Length': 1 << 20 });
        response.write(Buffer.alloc(100));
        setTimeout(() => response.socket!.destroy(), 20);
      }),
    );
    expect(message).toContain('cannot reach');
    expect(left.some((name) => name.endsWith('.incomplete'))).toBe(true); // to go on with
  });

  it('where access is, and the other transfers end', async () => {
    const { message } = await refused(
      'network',
      big((response) => refuse(response, 403, 'GatedRepo')),
    );
    expect(message).toContain('given only to those who have access');
    expect(message).toContain('HF_TOKEN');
  });

  it.each([
    ['../evil', 'names a file "../evil"'],
    ['/etc/passwd', 'names a file'],
    ['a/../../b', 'names a file'],
    ['a\\b', 'names a file'],
    ['c:x', 'names a file'],
  ])('where the listing names %s', async (path, problem) => {
    const intercept: Interception = (request, response) => {
      if (!request.url!.includes('/tree/')) return false;
      response.end(JSON.stringify([{ type: 'file', path, size: 1, oid: '0'.repeat(40) }]));
      return true;
    };
    const repository = await open(await hubServer(files(), ID, { intercept }));
    expect(await fiddlerRejection('file', repository.list())).toContain(problem);
  });

  it.each([
    ['{', 'network', 'is no listing of files'],
    ['7', 'network', 'is no listing of files'],
    ['[{"type":"file","path":"a","size":-1,"oid":""}]', 'file', 'in size'],
    ['[{"type":"file","path":"a","size":1,"oid":"../../x"}]', 'file', 'not a checksum in oid'],
  ] as const)('where the listing is %s', async (body, code, problem) => {
    const intercept: Interception = (request, response) => {
      if (!request.url!.includes('/tree/')) return false;
      response.end(body);
      return true;
    };
    const repository = await open(await hubServer(files(), ID, { intercept }));
    expect(await fiddlerRejection(code, repository.list())).toContain(problem);
  });

  it('where another process makes it, but not where that ended', async () => {
    const [dir, cache] = [files(), temporaryFolder()];
    const repository = await open(await hubServer(dir));
    const file = (await repository.list()).find(({ path }) => path === BIG)!;
    const part = join(folderOf(cache), 'blobs', `${file.checksum.value}.incomplete`);
    mkdirSync(dirname(part), { recursive: true });
    const locks = [process.pid, 4194303].map((pid) => `${part}.lock.${pid}.0a`); // the latter is more than Linux's default limit
    for (const lock of locks) writeFileSync(lock, '');
    expect(await fiddlerRejection('file', pull(repository, cache))).toContain(`process ${process.pid} is downloading`);
    rmSync(locks[0]!);
    writeFileSync(locks[1]!, '');
    expectWhole(await pull(repository, cache), dir);
    expect(existsSync(locks[1]!)).toBe(false);
  });

  it('where its listing is longer than any', async () => {
    const entry = { type: 'file', path: 'a', size: 1, oid: '0'.repeat(40) };
    const page = JSON.stringify(Array(200_000).fill(entry));
    const intercept: Interception = (request, response) => {
      if (!request.url!.includes('/tree/')) return false;
      response.setHeader('Link', `<${request.url}>; rel="next"`);
      response.end(page);
      return true;
    };
    const repository = await open(await hubServer(files(), ID, { intercept }));
    expect(await fiddlerRejection('network', repository.list())).toMatch(/lists more than 100000 files/);
  });

  it('where its listing does not end', async () => {
    let seen = 0;
    const intercept: Interception = (request, response) => {
      if (!request.url!.includes('/tree/')) return false;
      const [path] = request.url!.split('?');
      response.setHeader('Link', `<${path}?recursive=true&cursor=${seen++}>; rel="next"`);
      response.end('[{ "type": "directory" }]');
      return true;
    };
    const repository = await open(await hubServer(files(), ID, { intercept }));
    expect(await fiddlerRejection('network', repository.list())).toMatch(/or 1000 pages of/);
    expect(seen).toBeLessThan(2000);
  });

  it('where the disk does not hold it, or the cache cannot be written', async () => {
    const dir = files();
    const repository = await open(await hubServer(dir));
    const plan = planDownload(repository, await repository.list(), temporaryFolder());
    checkDisk(plan);
    checkDisk({ ...plan, missing: 0 }, 0);
    expect(fiddlerError('memory', () => checkDisk(plan, 1e6))).toContain('0.00 GB are to be downloaded');
    expect(freeBytes(join(temporaryFolder(), 'not', 'there'))).toBeGreaterThan(0);
    const file = join(temporaryFolder(), 'file');
    writeFileSync(file, '');
    truncateSync(file, 1);
    expect(await fiddlerRejection('file', pull(repository, file))).toContain('cannot write');
  });
});
