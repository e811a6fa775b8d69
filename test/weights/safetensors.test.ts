import { copyFileSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { view } from '../../src/native/os/memory.js';
import { DTYPE_BYTES, type StoredTensor } from '../../src/weights/checkpoint.js';
import { openCheckpoint } from '../../src/weights/index.js';
import { openSafetensors } from '../../src/weights/safetensors.js';
import { fiddlerError } from '../support/errors.js';
import { temporaryFolder } from '../support/folder.js';
import { safetensorsBytes, type TensorToWrite, writeSafetensors } from '../support/safetensors.js';

const MINI = 'models/mini-mixtral';
const SINGLE = 'model.safetensors';
const INDEX = 'model.safetensors.index.json';
const SHARDS = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'] as const;

const bytesOf = ({ address, bytes }: StoredTensor) => Buffer.from(view(address, bytes));
const a: TensorToWrite = { name: 'a', dtype: 'F32', shape: [2, 1], data: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8) };
const b: TensorToWrite = { name: 'b', dtype: 'BF16', shape: [], data: Uint8Array.of(9, 10) };

/** A folder of two shards, `a` in the first and `b` in the second. */
function shardedFolder(weightMap: Record<string, unknown> = { a: SHARDS[0], b: SHARDS[1] }): string {
  const dir = temporaryFolder();
  writeSafetensors(join(dir, SHARDS[0]), [a]);
  writeSafetensors(join(dir, SHARDS[1]), [b]);
  writeFileSync(join(dir, INDEX), JSON.stringify({ metadata: {}, weight_map: weightMap }));
  return dir;
}

/** The message for a folder whose one file has `a` described by `entry` over 16 bytes of data. */
function refusal(entry: unknown, more: Record<string, unknown> = {}): string {
  const dir = temporaryFolder();
  const header = JSON.stringify({ a: entry, ...more });
  writeFileSync(join(dir, SINGLE), safetensorsBytes(header, new Uint8Array(16)));
  return fiddlerError('file', () => openSafetensors(dir));
}

describe('a checkpoint', () => {
  it('of several shards has every tensor of the index, with the bytes that the files hold', () => {
    const checkpoint = openCheckpoint(MINI);
    const names = Object.keys(JSON.parse(readFileSync(join(MINI, INDEX), 'utf8')).weight_map);
    expect([...checkpoint.tensors.keys()].sort()).toEqual(names.sort());
    for (const shard of SHARDS) {
      const file = readFileSync(join(MINI, shard));
      const data = 8 + Number(file.readBigUInt64LE());
      const header = JSON.parse(file.toString('utf8', 8, data));
      for (const [name, entry] of Object.entries<Record<string, [number, number]>>(header)) {
        if (name === '__metadata__') continue;
        const tensor = checkpoint.get(name);
        const [begin, end] = entry.data_offsets!;
        expect(tensor).toMatchObject({ dtype: entry.dtype, shape: entry.shape, file: join(MINI, shard) });
        expect(bytesOf(tensor).equals(file.subarray(data + begin, data + end)), name).toBe(true);
      }
    }
    checkpoint.close();
  });

  it('of a single file has its tensors, and survives releasing them', () => {
    const checkpoint = openCheckpoint('test/golden/mixtral');
    const embedding = checkpoint.get('model.embed_tokens.weight');
    expect(embedding).toMatchObject({ dtype: 'BF16', shape: [320, 64], bytes: 320 * 64 * 2 });
    const before = bytesOf(embedding);
    checkpoint.release(embedding.address, embedding.bytes);
    expect(bytesOf(embedding).equals(before)).toBe(true);
    checkpoint.close();
  });

  it('releases nothing outside its files', () => {
    const checkpoint = openCheckpoint('test/golden/mixtral');
    const { address, bytes } = checkpoint.get('lm_head.weight');
    expect(() => checkpoint.release(address - 2n ** 30n, bytes)).toThrow(RangeError);
    checkpoint.close();
    expect(() => checkpoint.release(address, bytes)).toThrow(RangeError);
    checkpoint.close();
  });

  it('reads a type it cannot compute with only when that tensor is asked for', () => {
    const dir = temporaryFolder();
    writeSafetensors(join(dir, SINGLE), [a, { name: 'ids', dtype: 'I16', shape: [4], data: new Uint8Array(8) }, b]);
    const checkpoint = openCheckpoint(dir);
    expect([...checkpoint.tensors.keys()]).toEqual(['a', 'b']);
    expect([...bytesOf(checkpoint.get('b'))]).toEqual([9, 10]);
    expect(fiddlerError('unsupported', () => checkpoint.get('ids'))).toMatch(/"ids".*"I16".*F32, F16, BF16/);
    expect(fiddlerError('file', () => checkpoint.get('absent'))).toContain('no tensor named "absent"');
    checkpoint.close();
  });

  it('accepts metadata, bytes that belong to no tensor, and tensors without elements', () => {
    const dir = temporaryFolder();
    const header = {
      __metadata__: { format: 'pt' },
      late: { dtype: 'F16', shape: [2], data_offsets: [12, 16] },
      early: { dtype: 'F32', shape: [1, 1], data_offsets: [2, 6] },
      none: { dtype: 'F32', shape: [3, 0], data_offsets: [16, 16] },
    };
    writeFileSync(
      join(dir, SINGLE),
      safetensorsBytes(
        JSON.stringify(header),
        Uint8Array.from({ length: 20 }, (_, i) => i),
      ),
    );
    const checkpoint = openCheckpoint(dir);
    expect([...bytesOf(checkpoint.get('late'))]).toEqual([12, 13, 14, 15]);
    expect([...bytesOf(checkpoint.get('early'))]).toEqual([2, 3, 4, 5]);
    expect(checkpoint.get('none').bytes).toBe(0);
    checkpoint.close();
  });

  it('has an element size for each type', () => expect(DTYPE_BYTES).toEqual({ F32: 4, F16: 2, BF16: 2 }));
});

describe('a folder without usable weights is refused:', () => {
  it('no such folder, a file, a folder of other things', () => {
    const dir = temporaryFolder();
    expect(fiddlerError('file', () => openCheckpoint(join(dir, 'absent')))).toContain('there is no folder');
    writeFileSync(join(dir, 'notes.txt'), 'x');
    expect(fiddlerError('file', () => openCheckpoint(join(dir, 'notes.txt')))).toContain('is a file, not a folder');
    expect(fiddlerError('file', () => openCheckpoint(dir))).toContain(`looked for ${SINGLE} or ${INDEX}`);
  });

  it('a weights file that is a folder, empty, too short, or a Git LFS pointer', () => {
    const dir = temporaryFolder();
    mkdirSync(join(dir, SINGLE));
    expect(fiddlerError('file', () => openCheckpoint(dir))).toContain('not a regular file');
    const other = temporaryFolder();
    const message = (content: string) => {
      writeFileSync(join(other, SINGLE), content);
      return fiddlerError('file', () => openCheckpoint(other));
    };
    expect(message('')).toContain('is empty');
    expect(message('1234567')).toContain('too few for a header');
    expect(message('version https://git-lfs.github.com/spec/v1\n')).toContain('git lfs pull');
  });
});

describe('a header is refused:', () => {
  it('longer than the file, or than the format allows', () => {
    const dir = temporaryFolder();
    const write = (length: bigint, bytes: number) => {
      const head = Buffer.alloc(8);
      head.writeBigUInt64LE(length);
      writeFileSync(join(dir, SINGLE), head);
      truncateSync(join(dir, SINGLE), bytes); // grows the file with a hole: nothing is written
      return fiddlerError('file', () => openSafetensors(dir));
    };
    expect(write(9n, 16)).toContain('the file ends after 16');
    expect(write(2n ** 64n - 1n, 16)).toContain('the file ends after 16');
    expect(write(100_000_001n, 200_000_000)).toContain('more than the 100000000 the format allows');
  });

  it.each([
    ['not JSON', '{"a":'],
    ['not JSON', Uint8Array.of(0x22, 0xff, 0x22)], // no UTF-8
    ['not a JSON object', '[]'],
    ['not a JSON object', 'null'],
    ['not a JSON object', '7'],
  ])('%s: %s', (problem, header) => {
    const dir = temporaryFolder();
    writeFileSync(join(dir, SINGLE), safetensorsBytes(header, new Uint8Array(8)));
    expect(fiddlerError('file', () => openSafetensors(dir))).toContain(problem);
  });

  const good = { dtype: 'F32', shape: [2], data_offsets: [0, 8] };
  it.each([
    ['not described by an object', [1]],
    ['not described by an object', null],
    ['no dtype', { ...good, dtype: 3 }],
    ['no shape', { ...good, shape: undefined }],
    ['no shape', { ...good, shape: [-2] }],
    ['no shape', { ...good, shape: [2.5] }],
    ['no shape', { ...good, shape: ['2'] }],
    ['no shape', { ...good, shape: [2 ** 53] }],
    ['no data_offsets', { ...good, data_offsets: undefined }],
    ['no data_offsets', { ...good, data_offsets: [0] }],
    ['no data_offsets', { ...good, data_offsets: [0, 4, 8] }],
    ['no data_offsets', { ...good, data_offsets: [-8, 0] }],
    ['before its beginning', { ...good, data_offsets: [8, 0] }],
    ['the file has only 16', { ...good, data_offsets: [16, 24] }],
    ['does not fill its 12 bytes', { ...good, data_offsets: [0, 12] }],
    ['does not fill its 0 bytes', { ...good, shape: [2 ** 52, 2 ** 52, 0], data_offsets: [0, 0] }],
    ['does not fill its 0 bytes', { ...good, shape: [2 ** 33, 2 ** 33], data_offsets: [0, 0] }],
    ['does not fill its 4 bytes', { ...good, shape: [], data_offsets: [0, 4], dtype: 'BF16' }],
  ])('%s: %j', (problem, entry) => {
    const message = refusal(entry);
    expect(message).toContain(problem);
    expect(message).toContain('"a"');
  });

  it('tensors that overlap, of whatever type', () => {
    expect(refusal(good, { z: { ...good, data_offsets: [4, 12] } })).toContain('"a" and "z" overlap');
    expect(refusal(good, { z: { ...good, data_offsets: [0, 8] } })).toContain('overlap');
    expect(refusal(good, { z: { dtype: 'U8', shape: [1], data_offsets: [7, 8] } })).toContain('overlap');
  });

  it('names are shown in one short line', () => {
    const message = refusal(good, { [`x\n${'y'.repeat(1000)}`]: 0 });
    expect(message).toContain('x\\ny');
    expect(message.length).toBeLessThan(400);
  });
});

describe('an index is refused:', () => {
  it.each([
    ['weight_map', undefined],
    ['weight_map', { a: 1 }],
    ['names no tensors', {}],
    ['"../x.safetensors" is not a plain file name', { a: '../x.safetensors' }],
    ['is not a plain file name', { a: '/etc/passwd' }],
    ['is not a plain file name', { a: '..' }],
    ['is not a plain file name', { a: 'x\\y.safetensors' }],
    ['names "absent" and 1 more, missing in', { b: 'absent', c: 'absent2' }],
  ])('%s: %j', (problem, weightMap) => {
    const dir = shardedFolder();
    writeFileSync(join(dir, INDEX), JSON.stringify({ weight_map: weightMap }));
    expect(fiddlerError('file', () => openCheckpoint(dir))).toContain(problem);
  });

  it('where a tensor that is wanted is in none of the shards, and not where nobody wants it', () => {
    const dir = shardedFolder({ a: SHARDS[0], b: SHARDS[1], c: SHARDS[1], d: 'absent', e: 'absent2' });
    const opened = openCheckpoint(dir);
    try {
      expect(opened.get('a').file).toBe(join(dir, SHARDS[0]));
      expect(opened.get('b').file).toBe(join(dir, SHARDS[1]));
      const of = (name: string) => fiddlerError('file', () => opened.get(name));
      expect(of('c')).toContain(`tensor "c" is not in "${SHARDS[1]}", where the index puts it`);
      expect(of('d')).toContain('names "absent" and 1 more, missing in');
      expect(of('f')).toContain('has no tensor named "f"');
      expect(of('constructor')).toContain('has no tensor named "constructor"');
    } finally {
      opened.close();
    }
  });

  it('broken JSON, a tensor in two shards, a truncated shard', () => {
    const dir = shardedFolder();
    writeFileSync(join(dir, INDEX), '{"weight_map": {');
    expect(fiddlerError('file', () => openCheckpoint(dir))).toContain('not valid JSON at line 1, column 17');

    const twice = shardedFolder();
    writeSafetensors(join(twice, SHARDS[1]), [b, a]);
    expect(fiddlerError('file', () => openCheckpoint(twice))).toContain(`"a" is in ${join(twice, SHARDS[0])} too`);

    const truncated = temporaryFolder();
    for (const file of [INDEX, ...SHARDS]) copyFileSync(join(MINI, file), join(truncated, file));
    truncateSync(join(truncated, SHARDS[1]), 6_000_000);
    expect(fiddlerError('file', () => openCheckpoint(truncated))).toMatch(/00002-of-00002.*the file has only/);
  });
});
