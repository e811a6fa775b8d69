import {
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import type { ServerResponse } from 'node:http';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type DownloadProgress, planDownload } from '../../../src/weights/hub/download.js';
import { temporaryFolder } from '../../support/folder.js';
import { ID } from '../../support/hub.js';
import { COMMIT, hubServer, type Interception, refuse, sendRange } from '../../support/hub-server.js';

import { BIG, big, blobs, expectWhole, files, folderOf, open, PATIENCE, pull } from './downloading.js';

describe('a download', () => {
  it('lies in the cache as huggingface_hub lays it out', async () => {
    const [dir, cache] = [files(), temporaryFolder()];
    const snapshot = await pull(await open(await hubServer(dir, ID, { page: 2 })), cache);
    expect(snapshot).toBe(join(folderOf(cache), 'snapshots', COMMIT));
    expectWhole(snapshot, dir);
    expect(readFileSync(join(folderOf(cache), 'refs', 'main'), 'utf8')).toBe(COMMIT);
    expect(readlinkSync(join(snapshot, BIG))).toMatch(/^\.\.\/\.\.\/blobs\/[0-9a-f]{64}$/);
    expect(readlinkSync(join(snapshot, 'Q8_0', 'small.gguf'))).toMatch(/^\.\.\/\.\.\/\.\.\/blobs\/[0-9a-f]{64}$/);
    expect(readlinkSync(join(snapshot, 'config.json'))).toMatch(/^\.\.\/\.\.\/blobs\/[0-9a-f]{40}$/);
    expect(blobs(cache)).toHaveLength(4);
  });

  it('is made once, and tells how far it is', async () => {
    const [dir, cache] = [files(), temporaryFolder()];
    const hub = await hubServer(dir);
    const steps: DownloadProgress[] = [];
    await pull(await open(hub), cache, (step) => steps.push(step));
    const total = (1 << 20) + 1000 + 19;
    expect(steps.at(-1)).toEqual({ done: total, total, received: total });
    expect(steps.every(({ done }, i) => i === 0 || done >= steps[i - 1]!.done)).toBe(true);
    const sent = hub.sent();
    const again = await open(hub);
    expect(planDownload(again, await again.list(), cache)).toMatchObject({ total, missing: 0 });
    await pull(again, cache, (step) => expect(step.received).toBe(0));
    expect(hub.sent() - sent).toBeLessThan(10_000);
  });

  it('transfers files of the same content once', async () => {
    const [dir, cache] = [files(), temporaryFolder()];
    const equal = ['a.gguf', 'b.gguf', 'c.gguf'];
    for (const name of equal) copyFileSync(join(dir, BIG), join(dir, name));
    const steps: DownloadProgress[] = [];
    const snapshot = await pull(await open(await hubServer(dir)), cache, (step) => steps.push(step));
    expectWhole(snapshot, dir);
    const big = readlinkSync(join(snapshot, BIG));
    expect(equal.map((name) => readlinkSync(join(snapshot, name)))).toEqual([big, big, big]);
    const total = (1 << 20) + 1000 + 19;
    expect(steps.at(-1)).toEqual({ done: total, total, received: total });
    expect(blobs(cache)).toHaveLength(4);
  });

  it('goes on where the connection broke off, as often as it brings something', async () => {
    const [dir, cache] = [files(), temporaryFolder()];
    const bytes = readFileSync(join(dir, BIG));
    const ranges: (string | undefined)[] = [];
    let received = 0;
    const intercept = big((response, range) => {
      ranges.push(range);
      const from = Number(/\d+/.exec(range!)![0]);
      const to = Math.min(from + 100_000, bytes.length);
      const headers = { 'Content-Range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` };
      response.writeHead(206, { ...headers, 'Content-Length': bytes.length - from });
      response.write(bytes.subarray(from, to));
      // What a client has not read yet is lost with the connection.
      const looking = setInterval(() => received >= to && response.socket?.destroy(), 5);
      response.on('close', () => clearInterval(looking));
    });
    const repository = await open(await hubServer(dir, ID, { intercept }));
    const snapshot = await pull(repository, cache, (step) => {
      received = step.received;
    });
    expectWhole(snapshot, dir);
    expect(ranges.length).toBeGreaterThan(PATIENCE.attempts);
    expect(ranges[1]).toBe('bytes=100000-');
  });

  it('goes on in a later process', async () => {
    const [dir, cache] = [files(), temporaryFolder()];
    const ended = new AbortController();
    const reason = new Error('interrupted');
    const slow = big((response, range) => {
      sendRange(readFileSync(join(dir, BIG)).subarray(0, 300_000), { headers: { range } }, response, 1 << 20);
    });
    const broken = pull(
      await open(await hubServer(dir, ID, { intercept: slow }), { signal: ended.signal }),
      cache,
      (step) => {
        if (step.done >= 300_000) ended.abort(reason);
      },
    );
    await expect(broken).rejects.toBe(reason);
    const parts = blobs(cache).filter((name) => name.endsWith('.incomplete')); // others may have begun
    expect(parts.map((part) => statSync(join(folderOf(cache), 'blobs', part)).size)).toContain(300_000);
    expect(blobs(cache).some((name) => name.includes('.lock'))).toBe(false);
    expect(existsSync(join(folderOf(cache), 'refs', 'main'))).toBe(false);

    const hub = await hubServer(dir);
    const steps: DownloadProgress[] = [];
    expectWhole(await pull(await open(hub), cache, (step) => steps.push(step)), dir);
    expect(hub.seen.find(({ path }) => path.endsWith(BIG))!.range).toBe('bytes=300000-');
    expect(steps.at(-1)!.received).toBeLessThan((1 << 20) - 300_000 + 2000);
  });

  it('begins anew where what was here is damaged or too long', async () => {
    for (const damage of [Buffer.alloc(5000), Buffer.alloc(2 << 20)]) {
      const [dir, cache] = [files(), temporaryFolder()];
      const repository = await open(await hubServer(dir));
      const file = (await repository.list()).find(({ path }) => path === BIG)!;
      const part = join(folderOf(cache), 'blobs', `${file.checksum.value}.incomplete`);
      mkdirSync(dirname(part), { recursive: true });
      writeFileSync(part, damage);
      expectWhole(await pull(repository, cache), dir);
    }
  });

  it('takes the rest from a server that knows no ranges', async () => {
    const [dir, cache] = [files(), temporaryFolder()];
    const bytes = readFileSync(join(dir, BIG));
    const breaking = big((response) => {
      response.writeHead(200, { 'Content-Length': bytes.length });
      response.write(bytes.subarray(0, 200_000));
      setTimeout(() => response.socket!.destroy(), 20);
    }, 1);
    const plain = big((response) => response.end(bytes));
    const intercept: Interception = (...call) => breaking(...call) || plain(...call);
    expectWhole(await pull(await open(await hubServer(dir, ID, { intercept })), cache), dir);
  });

  it('waits through silence and refusals that pass', async () => {
    for (const fail of [() => {}, (response: ServerResponse) => refuse(response, 503)]) {
      const [dir, cache] = [files(), temporaryFolder()];
      expectWhole(await pull(await open(await hubServer(dir, ID, { intercept: big(fail, 2) })), cache), dir);
    }
  });

  it('is made from a network that delivers files, without the token', async () => {
    const [dir, cache] = [files(), temporaryFolder()];
    const cdn = await hubServer(dir, ID);
    const intercept = big((response) =>
      response.writeHead(302, { Location: `${cdn.endpoint}/${ID}/resolve/${COMMIT}/${BIG}` }).end(),
    );
    const hub = await hubServer(dir, ID, { intercept });
    expectWhole(await pull(await open(hub, { env: { HF_TOKEN: 'secret' } }), cache), dir);
    expect(hub.seen.every(({ authorization }) => authorization === 'Bearer secret')).toBe(true);
    expect(cdn.seen.map(({ authorization }) => authorization)).toEqual([undefined]);
  });

  it('of a commit names no branch', async () => {
    const cache = temporaryFolder();
    await pull(await open(await hubServer(files()), { revision: `@${COMMIT}` }), cache);
    expect(existsSync(join(folderOf(cache), 'refs'))).toBe(false);
  });

  it('replaces a link of an earlier one', async () => {
    const [dir, cache] = [files(), temporaryFolder()];
    const hub = await hubServer(dir);
    await pull(await open(hub), cache);
    writeFileSync(join(dir, 'config.json'), '{}');
    const snapshot = await pull(await open(hub), cache);
    expect(readFileSync(join(snapshot, 'config.json'), 'utf8')).toBe('{}');
    expect(lstatSync(join(snapshot, 'config.json')).isSymbolicLink()).toBe(true);
  });
});
