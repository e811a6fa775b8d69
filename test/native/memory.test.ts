import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import koffi from 'koffi';
import { describe, expect, it } from 'vitest';
import {
  LONGEST_VIEW,
  mapFile,
  mapHead,
  memmove,
  pageSize,
  populate,
  release,
  unmap,
  view,
} from '../../src/native/os/memory.js';
import { fiddlerError } from '../support/errors.js';
import { temporaryFolder } from '../support/folder.js';

/** A mapped file of `pages` pages and a few bytes, byte i being i × 7 + 1 mod 251. */
function mapPages(pages: number) {
  const bytes = Uint8Array.from({ length: pages * pageSize + 5 }, (_, i) => (i * 7 + 1) % 251);
  const file = join(temporaryFolder(), 'data');
  writeFileSync(file, bytes);
  return { mapping: mapFile(file), bytes };
}

/** KiB of the mapping at `address` that are in physical memory, from the kernel. */
function residentKiB(address: bigint): number {
  const lines = readFileSync('/proc/self/smaps', 'utf8').split('\n');
  const start = lines.findIndex((line) => line.startsWith(`${address.toString(16)}-`));
  return Number(/Rss:\s+(\d+)/.exec(lines.slice(start).find((line) => line.startsWith('Rss:'))!)![1]);
}

describe('mapped files', () => {
  it('hold the bytes of the file, page-aligned', () => {
    const { mapping, bytes } = mapPages(3);
    expect(mapping.bytes).toBe(bytes.length);
    expect(mapping.address % BigInt(pageSize)).toBe(0n);
    expect(Buffer.from(view(mapping.address, mapping.bytes)).equals(bytes)).toBe(true);
    expect([...new Uint8Array(view(mapping.address + 11n, 3))]).toEqual([...bytes.subarray(11, 14)]);
    unmap(mapping);
  });

  it('read again what was released or asked for ahead', () => {
    const { mapping, bytes } = mapPages(3);
    release(mapping.address + 1n, mapping.bytes - 1);
    populate(mapping.address + 1n, mapping.bytes - 1);
    populate(mapping.address, 0);
    expect(Buffer.from(view(mapping.address, mapping.bytes)).equals(bytes)).toBe(true);
    unmap(mapping);
  });

  it.runIf(process.platform === 'linux')('give back only the pages wholly inside what is released', () => {
    const pages = 64;
    const { mapping } = mapPages(pages);
    const touch = () => Buffer.from(view(mapping.address, mapping.bytes)).reduce((sum, byte) => sum + byte, 0);
    const page = pageSize / 1024;
    touch();
    expect(residentKiB(mapping.address)).toBe((pages + 1) * page);
    release(mapping.address + 1n, 2 * pageSize - 2);
    expect(residentKiB(mapping.address)).toBe((pages + 1) * page);
    release(mapping.address + 1n, mapping.bytes - 1);
    expect(residentKiB(mapping.address)).toBe(2 * page);
    touch();
    expect(residentKiB(mapping.address)).toBe((pages + 1) * page);
    unmap(mapping);
  });

  it.runIf(process.platform === 'linux')('are stood for by their heads, which alone take memory', () => {
    const head = Uint8Array.from({ length: pageSize + 1 }, (_, i) => i % 251);
    const mapping = mapHead('elsewhere', 2 ** 40, head);
    expect(mapping).toMatchObject({ file: 'elsewhere', bytes: 2 ** 40 });
    expect(Buffer.from(view(mapping.address, head.length)).equals(head)).toBe(true);
    expect(residentKiB(mapping.address)).toBe((2 * pageSize) / 1024);
    expect(residentKiB(mapping.address + BigInt(2 * pageSize))).toBe(0);
    unmap(mapping);
  });

  it('are copied from, also between ranges that overlap', () => {
    const { mapping, bytes } = mapPages(1);
    const memory = koffi.address(koffi.alloc('uint8_t', 16));
    memmove(memory, mapping.address + 3n, 16);
    memmove(memory + 2n, memory, 14);
    const copied = [...bytes.subarray(3, 5), ...bytes.subarray(3, 17)];
    expect([...new Uint8Array(view(memory, 16))]).toEqual(copied);
    koffi.free(memory);
    unmap(mapping);
  });

  it('refuse what is no file, and say what the system said', () => {
    const dir = temporaryFolder();
    writeFileSync(join(dir, 'empty'), '');
    expect(fiddlerError('file', () => mapFile(join(dir, 'absent')))).toContain('ENOENT');
    expect(fiddlerError('file', () => mapFile(join(dir, 'empty')))).toContain('is empty');
    expect(fiddlerError('file', () => mapFile(dir))).toContain('not a regular file');
    const nowhere = 0x1000n; // where Linux lets nobody map anything
    expect(fiddlerError('file', () => release(nowhere, pageSize))).toContain('ENOMEM');
  });

  it('refuse a view so long that Node would abort', () => {
    expect(fiddlerError('memory', () => view(0x1000n, LONGEST_VIEW + 1))).toContain(`${LONGEST_VIEW + 1}`);
  });
});
