import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Type } from '../../src/native/ggml/tensor.js';
import { openCheckpoint } from '../../src/weights/index.js';
import { findMxfp4, type Mxfp4Part } from '../../src/weights/mxfp4.js';
import { makeBytes } from '../support/conversions.js';
import { fiddlerError } from '../support/errors.js';
import { temporaryFolder } from '../support/folder.js';
import { writeSafetensors } from '../support/safetensors.js';

const E2M1 = [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0, -0.5, -1, -1.5, -2, -3, -4, -6];
const power = (scale: number) => 2 ** (scale - 127);

/** The numbers of a row as gpt-oss's reference reads them: bytes in order, the low half of each first. */
function asPublished(blocks: Uint8Array, scales: Uint8Array): number[] {
  return [...blocks].flatMap((byte, i) => {
    const scale = power(scales[i >> 4]!);
    return [E2M1[byte & 15]! * scale, E2M1[byte >> 4]! * scale];
  });
}

/** The numbers of ggml's blocks: a scale, 16 low halves, 16 high halves. */
function asComputed(bytes: Uint8Array): number[] {
  return Array.from({ length: bytes.length / 17 }, (_, b) => bytes.subarray(b * 17, (b + 1) * 17)).flatMap(
    ([e, ...qs]) => [...qs.map((q) => E2M1[q & 15]! * power(e!)), ...qs.map((q) => E2M1[q >> 4]! * power(e!))],
  );
}

function repack(part: Mxfp4Part, groups: number, blocks: Uint8Array, scales: Uint8Array): Uint8Array {
  const { count, rows } = part;
  const dir = temporaryFolder();
  writeSafetensors(join(dir, 'model.safetensors'), [
    { name: 'w_blocks', dtype: 'U8', shape: [count, rows.of, groups, 16], data: blocks },
    { name: 'w_scales', dtype: 'U8', shape: [count, rows.of, groups], data: scales },
  ]);
  const checkpoint = openCheckpoint(dir);
  try {
    const source = findMxfp4(checkpoint, { name: 'w', packing: 'together' }, part, groups * 32);
    if (!('make' in source) || source.type !== Type.MXFP4) throw new Error('not MXFP4');
    return new Uint8Array(makeBytes(source, (source.elements / 32) * 17));
  } finally {
    checkpoint.close();
  }
}

describe('MXFP4', () => {
  it('keeps every number, of every row that is taken', () => {
    const sizes = fc.record({
      count: fc.integer({ min: 1, max: 3 }),
      half: fc.integer({ min: 1, max: 4 }),
      groups: fc.integer({ min: 1, max: 3 }),
      from: fc.constantFrom(0, 1),
      seed: fc.nat(),
    });
    fc.assert(
      fc.property(sizes, ({ count, half, groups, from, seed }) => {
        const of = 2 * half;
        const blocks = Uint8Array.from({ length: count * of * groups * 16 }, (_, i) => ((i + seed) * 131) >> 2);
        const scales = Uint8Array.from({ length: count * of * groups }, (_, i) => 100 + ((i * 7 + seed) % 50));
        const index = seed % count;
        const repacked = repack({ count, index, rows: { from, of, step: 2 } }, groups, blocks, scales);
        for (let r = 0; r < half; r++) {
          const row = (index * of + from + 2 * r) * groups;
          const published = asPublished(
            blocks.subarray(row * 16, (row + groups) * 16),
            scales.subarray(row, row + groups),
          );
          expect(asComputed(repacked.subarray(r * groups * 17, (r + 1) * groups * 17))).toEqual(published);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('refuses shapes that the config does not imply', () => {
    const part = { count: 1, index: 0, rows: { from: 0, of: 2, step: 1 } };
    const [blocks, scales] = [new Uint8Array(64), new Uint8Array(4)];
    const message = fiddlerError('file', () => repack({ ...part, count: 1 }, 2, blocks.subarray(0, 32), scales));
    expect(message).toContain('does not fill');
  });
});
