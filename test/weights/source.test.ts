import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Type } from '../../src/native/ggml/tensor.js';
import type { Layout } from '../../src/weights/conversions/gather.js';
import { openCheckpoint } from '../../src/weights/index.js';
import { findSource, rearranged } from '../../src/weights/source.js';
import { makeBytes } from '../support/conversions.js';
import { fiddlerError } from '../support/errors.js';
import { temporaryFolder } from '../support/folder.js';
import { writeSafetensors } from '../support/safetensors.js';

/** Reads a matrix of the numbers 0, 1, 2, … as `layout` has it. */
function read(dtype: 'BF16' | 'F32', shape: readonly [number, number], layout: Layout) {
  const count = shape[0] * shape[1];
  const counting = (_: unknown, i: number) => i;
  const data =
    dtype === 'F32' ? Uint32Array.from({ length: count }, counting) : Uint16Array.from({ length: count }, counting);
  const dir = temporaryFolder();
  writeSafetensors(join(dir, 'model.safetensors'), [{ name: 'w', dtype, shape, data: new Uint8Array(data.buffer) }]);
  const checkpoint = openCheckpoint(dir);
  try {
    const whole = findSource(checkpoint, 'w', shape);
    const source = rearranged(whole, layout);
    if ('address' in source) return { inPlace: Number(source.address - checkpoint.get('w').address) };
    const made = makeBytes(source, source.elements * (dtype === 'F32' ? 4 : 2));
    return { made: [...(dtype === 'F32' ? new Uint32Array(made) : new Uint16Array(made))] };
  } finally {
    checkpoint.close();
  }
}

describe('a rearranged source', () => {
  it('has each element where the layout puts it', () => {
    const sizes = fc.record({
      dtype: fc.constantFrom('BF16' as const, 'F32' as const),
      heads: fc.integer({ min: 1, max: 3 }),
      rows: fc.integer({ min: 1, max: 40 }),
      columns: fc.integer({ min: 2, max: 40 }),
    });
    fc.assert(
      fc.property(sizes, ({ dtype, heads, rows, columns }) => {
        // Of each head's 2 · rows rows, the second half, transposed.
        const layout: Layout = {
          shape: [heads, columns, rows],
          offset: rows * columns,
          strides: [2 * rows * columns, 1, columns],
        };
        const { made } = read(dtype, [heads * 2 * rows, columns], layout);
        if (rows === 1 && heads === 1) {
          expect(made).toBeUndefined();
          return;
        }
        const expected: number[] = [];
        for (let h = 0; h < heads; h++) {
          for (let c = 0; c < columns; c++) {
            for (let r = 0; r < rows; r++) expected.push((h * 2 * rows + rows + r) * columns + c);
          }
        }
        expect(made).toEqual(expected);
      }),
      { numRuns: 60 },
    );
  });

  it('stays where it lies when it is in order', () => {
    expect(read('BF16', [6, 4], { shape: [1, 3, 4], offset: 8, strides: [0, 4, 1] })).toEqual({ inPlace: 16 });
    expect(read('F32', [6, 4], { shape: [3, 2, 4], offset: 0, strides: [8, 4, 1] })).toEqual({ inPlace: 0 });
    expect(read('F32', [6, 4], { shape: [1, 3, 4], offset: 4, strides: [0, 8, 1] })).toHaveProperty('made');
  });

  it('is made where it is wanted, without a copy between, when it is made in order', () => {
    const make = () => {};
    const whole = { type: Type.F32, elements: 6, make, reads: [] };
    const part = (offset: number, rows: number) =>
      rearranged(whole, { shape: [1, rows, 3], offset, strides: [0, 3, 1] });
    expect(part(0, 2)).toHaveProperty('make', make);
    expect(part(0, 1)).not.toHaveProperty('make', make);
    expect(part(3, 1)).not.toHaveProperty('make', make);
  });
});

describe('a tensor of bytes', () => {
  it('is refused where numbers are wanted', () => {
    const dir = temporaryFolder();
    const data = new Uint8Array(4);
    writeSafetensors(join(dir, 'model.safetensors'), [{ name: 'w', dtype: 'U8', shape: [4], data }]);
    const checkpoint = openCheckpoint(dir);
    expect(fiddlerError('unsupported', () => findSource(checkpoint, 'w', [4]))).toContain('w in');
    checkpoint.close();
  });
});
