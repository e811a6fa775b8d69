import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FiddlerError } from '../../src/errors.js';
import { view } from '../../src/native/os/memory.js';
import { type Checkpoint, DTYPE_BYTES, type PlainDType, STORED_BYTES } from '../../src/weights/checkpoint.js';
import { openSafetensors } from '../../src/weights/safetensors.js';
import { temporaryFolder } from '../support/folder.js';
import { safetensorsBytes, type TensorToWrite, writeSafetensors } from '../support/safetensors.js';

const FILE = 'model.safetensors';
const dtypes = fc.constantFrom(...(Object.keys(DTYPE_BYTES) as PlainDType[]));

const tensor: fc.Arbitrary<TensorToWrite> = fc
  .record({
    name: fc.string({ unit: 'binary', minLength: 1 }).filter((name) => name !== '__metadata__'),
    dtype: dtypes,
    shape: fc.array(fc.nat(5), { maxLength: 4 }),
    fill: fc.nat(255),
  })
  .map(({ name, dtype, shape, fill }) => {
    const bytes = shape.reduce((product, size) => product * size, DTYPE_BYTES[dtype]);
    return { name, dtype, shape, data: Uint8Array.from({ length: bytes }, (_, i) => (fill + i * 31) % 256) };
  });
const tensors = fc.uniqueArray(tensor, { selector: ({ name }) => name, maxLength: 8 });

/** What opening the folder gives: a checkpoint, or undefined where it was refused as it should be. */
function open(dir: string): Checkpoint | undefined {
  try {
    return openSafetensors(dir);
  } catch (error) {
    expect(error).toBeInstanceOf(FiddlerError);
    expect((error as FiddlerError).message).not.toContain('\n');
    return undefined;
  }
}

/** Reads every byte of every tensor, which must be the file's own, without overlap. */
function expectConsistent(checkpoint: Checkpoint, file: string): void {
  const content = readFileSync(file);
  const data = 8 + Number(content.readBigUInt64LE());
  const header = JSON.parse(content.toString('utf8', 8, data));
  let total = 0;
  for (const { name, dtype, shape, address, bytes } of checkpoint.tensors.values()) {
    expect(bytes).toBe(shape.reduce((product, size) => product * size, STORED_BYTES[dtype as PlainDType]));
    const [begin, end] = header[name].data_offsets;
    expect(data + end).toBeLessThanOrEqual(content.length);
    expect(Buffer.from(view(address, bytes)).equals(content.subarray(data + begin, data + end))).toBe(true);
    total += bytes;
  }
  expect(data + total).toBeLessThanOrEqual(content.length);
}

/** Opens a file of those bytes; whatever it holds is refused or consistent. Tells which. */
function refusedOrConsistent(dir: string, bytes: Uint8Array): boolean {
  writeFileSync(join(dir, FILE), bytes);
  const checkpoint = open(dir);
  if (!checkpoint) return false;
  expectConsistent(checkpoint, join(dir, FILE));
  checkpoint.close();
  return true;
}

describe('for any safetensors file', () => {
  it('what was written is what is read', () => {
    const dir = temporaryFolder();
    fc.assert(
      fc.property(tensors, fc.option(fc.dictionary(fc.string(), fc.string())), (written, metadata) => {
        writeSafetensors(join(dir, FILE), written, { metadata: metadata ?? undefined });
        const checkpoint = openSafetensors(dir);
        expect(checkpoint.tensors.size).toBe(written.length);
        for (const { name, dtype, shape, data } of written) {
          const read = checkpoint.get(name);
          expect(read).toMatchObject({ name, dtype, shape, bytes: data.length });
          expect(Buffer.from(view(read.address, read.bytes)).equals(data)).toBe(true);
        }
        checkpoint.close();
      }),
    );
  });

  it('flipped bits give an error or a consistent checkpoint', () => {
    const dir = temporaryFolder();
    const flips = fc.array(fc.record({ at: fc.nat(), bit: fc.nat(7) }), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(tensors, flips, (written, places) => {
        writeSafetensors(join(dir, FILE), written);
        const bytes = readFileSync(join(dir, FILE));
        const header = 8 + Number(bytes.readBigUInt64LE());
        for (const { at, bit } of places) bytes[at % header]! ^= 1 << bit;
        refusedOrConsistent(dir, bytes);
      }),
      { numRuns: 1000 },
    );
  });

  it('truncation gives an error', () => {
    const dir = temporaryFolder();
    fc.assert(
      fc.property(tensors, fc.nat(), (written, at) => {
        writeSafetensors(join(dir, FILE), written);
        const bytes = readFileSync(join(dir, FILE));
        expect(refusedOrConsistent(dir, bytes.subarray(0, at % bytes.length))).toBe(false);
      }),
      { numRuns: 300 },
    );
  });

  it('any JSON in place of a field gives an error or a consistent checkpoint', () => {
    const dir = temporaryFolder();
    const size = fc.oneof(fc.integer({ min: -1, max: 20 }), fc.maxSafeInteger(), fc.double());
    const value = fc.oneof(fc.jsonValue(), fc.array(size, { maxLength: 3 }), dtypes);
    const field = fc.constantFrom('dtype', 'shape', 'data_offsets', undefined);
    fc.assert(
      fc.property(
        tensors.filter(({ length }) => length > 0),
        fc.nat(),
        field,
        value,
        (written, which, key, json) => {
          const { name } = written[which % written.length]!;
          const editHeader = (header: Record<string, unknown>) => ({
            ...header,
            [name]: key === undefined ? json : { ...(header[name] as object), [key]: json },
          });
          writeSafetensors(join(dir, FILE), written, { editHeader });
          refusedOrConsistent(dir, readFileSync(join(dir, FILE)));
        },
      ),
      { numRuns: 1000 },
    );
  });

  it('entries with any small offsets give an error exactly where they overlap or leave the data', () => {
    const dir = temporaryFolder();
    const entry = fc.record({ begin: fc.nat(24), halves: fc.nat(8) });
    let accepted = 0;
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 4 }), (entries) => {
        const ranges = entries.map(({ begin, halves }) => ({ begin, end: begin + 2 * halves, halves }));
        const header = ranges.map(({ begin, end, halves }, i) => [
          `t${i}`,
          { dtype: 'F16', shape: [halves], data_offsets: [begin, end] },
        ]);
        const apart = ranges.every(({ begin, end }, i) =>
          ranges.every((other, j) => i === j || end <= other.begin || other.end <= begin),
        );
        const inside = ranges.every(({ end }) => end <= 24);
        const bytes = safetensorsBytes(JSON.stringify(Object.fromEntries(header)), new Uint8Array(24));
        const opened = refusedOrConsistent(dir, bytes);
        expect(opened).toBe(apart && inside);
        accepted += Number(opened);
      }),
      { numRuns: 1000 },
    );
    expect(accepted).toBeGreaterThan(100);
  });
});
