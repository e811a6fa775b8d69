import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type GgufToWrite, type GgufValue, ggufBytes } from '../../../bench/gguf-writer.js';
import { FiddlerError } from '../../../src/errors.js';
import { readHeader } from '../../../src/weights/gguf/header.js';

const F32 = 0;
const Q4_K = 12;

const read = (bytes: Uint8Array) => readHeader('model.gguf', bytes, bytes.length)!;
const readWritten = (content: GgufToWrite) => read(ggufBytes(content));

const scalars = {
  u8: fc.integer({ min: 0, max: 255 }),
  i16: fc.integer({ min: -(2 ** 15), max: 2 ** 15 - 1 }),
  u32: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  i64: fc.maxSafeInteger(),
  u64: fc.maxSafeNat(),
  f64: fc.double({ noNaN: true, noDefaultInfinity: true }),
};
const strings = fc.string({ unit: 'binary' });

describe('a header of valid fields', () => {
  it('gives what was written', () => {
    const values = fc.record({
      ...scalars,
      string: strings,
      strings: fc.array(strings),
      numbers: fc.array(scalars.i16),
    });
    fc.assert(
      fc.property(values, fc.constantFrom(2, 3), ({ string, strings, numbers, ...numeric }, version) => {
        const metadata: Record<string, GgufValue> = {
          'a.string': { kind: 'string', value: string },
          'some.strings': { kind: 'array', of: 'string', value: strings },
          'some.numbers': { kind: 'array', of: 'i16', value: numbers },
          yes: { kind: 'bool', value: 1 },
        };
        for (const [kind, value] of Object.entries(numeric)) {
          metadata[kind] = { kind: kind as keyof typeof numeric, value };
        }
        const found = readWritten({ version, metadata }).metadata;
        expect(found.string('a.string')).toBe(string);
        expect(found.strings('some.strings')).toEqual(strings);
        expect(found.numbers('some.numbers')).toEqual(numbers);
        expect(found.flag('yes')).toBe(true);
        for (const [kind, value] of Object.entries(numeric)) expect(found.number(kind)).toBe(value);
        expect(found.string('missing')).toBeUndefined();
      }),
    );
  });

  it('gives tensors outermost dimension first, at their places in the file', () => {
    const data = (bytes: number, value: number) => new Uint8Array(bytes).fill(value);
    for (const alignment of [32, 64, 4096]) {
      const bytes = ggufBytes({
        alignment,
        metadata: { 'general.alignment': { kind: 'u32', value: alignment } },
        tensors: [
          { name: 'a', type: F32, ne: [3, 2], data: data(24, 1) },
          { name: 'b', type: Q4_K, ne: [512, 2, 3], data: data(2 * 144 * 6, 2) },
        ],
      });
      const [a, b] = read(bytes).tensors;
      expect(a).toMatchObject({ name: 'a', shape: [2, 3], dtype: 'F32', bytes: 24 });
      expect(b).toMatchObject({ name: 'b', shape: [3, 2, 512], dtype: 'Q4_K', bytes: 2 * 144 * 6 });
      expect([...bytes.subarray(a!.offset, a!.offset + a!.bytes)].every((v) => v === 1)).toBe(true);
      expect([...bytes.subarray(b!.offset, b!.offset + b!.bytes)].every((v) => v === 2)).toBe(true);
    }
  });

  it('asks for more until it is there whole, and then needs no more', () => {
    const bytes = ggufBytes({
      metadata: { key: { kind: 'array', of: 'string', value: ['one', 'two'] } },
      tensors: [{ name: 'a', type: F32, ne: [4], data: new Uint8Array(16) }],
    });
    const lengths = [...Array(bytes.length + 1).keys()];
    const found = lengths.map((length) => readHeader('model.gguf', bytes.subarray(0, length), bytes.length));
    const first = found.findIndex((header) => header !== undefined);
    expect(first).toBeGreaterThan(100);
    expect(first).toBeLessThanOrEqual(bytes.length - 16);
    expect(found.slice(first).every((header) => header?.tensors.length === 1)).toBe(true);
  });
});

const tensor = { name: 'a', type: F32, ne: [8, 4], data: new Uint8Array(128) };

/** Changes bytes and gives them. */
const after = (change: (bytes: Buffer) => unknown) => (bytes: Buffer) => {
  change(bytes);
  return bytes;
};

/** What is wrong with a file, and what must be said. */
const BROKEN: Record<string, { content?: GgufToWrite; edit?: (bytes: Buffer) => Uint8Array; says: RegExp }> = {
  'no magic': { edit: after((b) => b.write('GGML')), says: /does not begin with GGUF/ },
  'a Git LFS pointer': { edit: () => Buffer.from('version https://git-lfs'), says: /Git LFS pointer/ },
  'an old version': { content: { version: 1 }, says: /has version 1/ },
  'a later version': { content: { version: 4 }, says: /has version 4/ },
  'another byte order': { content: { version: 3 << 24 }, says: /big-endian/ },
  'a huge number of tensors': { edit: after((b) => b.writeBigUInt64LE(2n ** 63n, 8)), says: /number of tensors/ },
  'a huge number of keys': { edit: after((b) => b.writeBigUInt64LE(2n ** 60n, 16)), says: /metadata keys/ },
  'a key longer than the file': {
    content: { metadata: { k: { kind: 'u8', value: 0 } } },
    edit: after((b) => b.writeBigUInt64LE(2n ** 62n, 24)),
    says: /length of metadata key 0/,
  },
  'a list longer than the file': {
    content: { metadata: { k: { kind: 'array', of: 'u64', value: [] } } },
    edit: after((b) => b.writeBigUInt64LE(2n ** 61n, 41)),
    says: /length of metadata "k"/,
  },
  'a list of lists': {
    content: { metadata: { k: { kind: 'array', of: 'u8', value: [] } } },
    edit: after((b) => b.writeUInt32LE(9, 37)),
    says: /list of lists/,
  },
  'a type of value that there is not': {
    content: { metadata: { k: { kind: 'u8', value: 0 } } },
    edit: after((b) => b.writeUInt32LE(13, 33)),
    says: /has type 13/,
  },
  'a flag that is neither': { content: { metadata: { k: { kind: 'bool', value: 7 } } }, says: /is 7 instead of true/ },
  'an alignment of 0': {
    content: { metadata: { 'general.alignment': { kind: 'u32', value: 0 } } },
    says: /alignment is 0/,
  },
  'an alignment of 48': { content: { metadata: { 'general.alignment': { kind: 'u32', value: 48 } } }, says: /is 48/ },
  'an alignment of 2³¹': {
    content: { metadata: { 'general.alignment': { kind: 'u32', value: 2 ** 31 } } },
    says: /no power of two up to/,
  },
  'five dimensions': { content: { tensors: [{ ...tensor, ne: [2, 2, 2, 2, 2] }] }, says: /"a" has 5 dimensions/ },
  'no dimension': { content: { tensors: [{ ...tensor, ne: [] }] }, says: /"a" has 0 dimensions/ },
  'a dimension of 0': { content: { tensors: [{ ...tensor, ne: [8, 0] }] }, says: /dimension of 0/ },
  'a product that overflows': { content: { tensors: [{ ...tensor, ne: [2 ** 40, 2 ** 40] }] }, says: /would have/ },
  'rows that are no multiple of a block': {
    content: { tensors: [{ ...tensor, type: Q4_K }] },
    says: /multiple of the 256/,
  },
  'an offset that is not aligned': { content: { tensors: [{ ...tensor, offset: 4 }] }, says: /begins at 4/ },
  'an offset behind the file': { content: { tensors: [{ ...tensor, offset: 2 ** 50 }] }, says: /offset of tensor "a"/ },
  'data behind the end': { content: { tensors: [{ ...tensor, offset: 96 }] }, says: /"a" ends at byte/ },
  'a cut file': { content: { tensors: [tensor] }, edit: (b) => b.subarray(0, b.length - 1), says: /"a" ends at byte/ },
  'the same tensor twice': { content: { tensors: [tensor, tensor] }, says: /"a" is there twice/ },
  'tensors that overlap': {
    content: { tensors: [tensor, { ...tensor, name: 'b', offset: 64 }] },
    says: /"a" and "b" overlap/,
  },
  'nothing behind the magic': { edit: (b) => b.subarray(0, 4), says: /ends within its version/ },
};

describe('a broken header', () => {
  it.each(Object.entries(BROKEN))('%s', (_, { content = { tensors: [tensor] }, edit = (b) => b, says }) => {
    const bytes = edit(ggufBytes(content));
    expect(() => read(bytes)).toThrow(says);
    expect(() => read(bytes)).toThrow(FiddlerError);
  });

  it('with a key twice', () => {
    const bytes = ggufBytes({ metadata: { ab: { kind: 'u8', value: 1 }, ac: { kind: 'u8', value: 1 } } });
    bytes[bytes.indexOf('ac') + 1] = 'b'.charCodeAt(0);
    expect(() => read(bytes)).toThrow(/"ab" is there twice/);
  });

  it('with tokens that are numbers', () => {
    const { metadata } = readWritten({ metadata: { tokens: { kind: 'array', of: 'i32', value: [1, 2] } } });
    expect(() => metadata.strings('tokens')).toThrow(/"tokens" is not a list of strings/);
  });

  it('of any bytes is refused by a FiddlerError or read', () => {
    const whole = ggufBytes({
      metadata: {
        name: { kind: 'string', value: 'x' },
        tokens: { kind: 'array', of: 'string', value: ['a', 'bc', ''] },
        scores: { kind: 'array', of: 'f32', value: [1, 2] },
      },
      tensors: [tensor, { ...tensor, name: 'b' }],
    });
    const edits = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(edits, fc.nat(whole.length), (bytes, length) => {
        const changed = Buffer.from(whole);
        for (const [at, value] of bytes) changed[at] = value;
        try {
          const found = read(changed.subarray(0, length < 40 ? whole.length : length));
          for (const { offset, bytes: size } of found.tensors) expect(offset + size).toBeLessThanOrEqual(whole.length);
        } catch (error) {
          expect(error).toBeInstanceOf(FiddlerError);
        }
      }),
      { numRuns: 3000 },
    );
  });
});
