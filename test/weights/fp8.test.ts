import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Checkpoint } from '../../src/weights/checkpoint.js';
import { openCheckpoint } from '../../src/weights/index.js';
import { findSource } from '../../src/weights/source.js';
import { makeBytes } from '../support/conversions.js';
import { fiddlerError } from '../support/errors.js';
import { temporaryFolder } from '../support/folder.js';
import { E4M3, fromBf16, quantize, toBf16 } from '../support/fp8.js';
import { type TensorToWrite, writeSafetensors } from '../support/safetensors.js';

function open<T>(tensors: TensorToWrite[], quantization: object | undefined, use: (checkpoint: Checkpoint) => T): T {
  const dir = temporaryFolder();
  writeFileSync(join(dir, 'config.json'), JSON.stringify({ quantization_config: quantization }));
  writeSafetensors(join(dir, 'model.safetensors'), tensors);
  const checkpoint = openCheckpoint(dir);
  try {
    return use(checkpoint);
  } finally {
    checkpoint.close();
  }
}

function numbers(checkpoint: Checkpoint, name: string, shape: readonly number[]): Uint16Array {
  const source = findSource(checkpoint, name, shape);
  if (!('make' in source)) throw new Error('FP8 is not computed in place');
  return new Uint16Array(makeBytes(source, source.elements * 2));
}

const blocks = (weight_block_size: unknown) => ({ quant_method: 'fp8', fmt: 'e4m3', weight_block_size });
const f32 = (...values: number[]) => new Uint8Array(Float32Array.from(values).buffer);

describe('FP8 with a scale for each block', () => {
  it('reads every number', () => {
    const data = Uint8Array.from({ length: 256 }, (_, byte) => byte);
    const tensors = [
      { name: 'w', dtype: 'F8_E4M3', shape: [2, 128], data },
      { name: 'w_scale_inv', dtype: 'F32', shape: [1, 1], data: f32(1) },
    ];
    const read = open(tensors, blocks([128, 128]), (c) => numbers(c, 'w', [2, 128]));
    expect([...read].map(fromBf16)).toEqual(E4M3);
  });

  it('rounds a product between two bf16 numbers to the even one', () => {
    const halfway = (bits: number) => new Float32Array(Uint32Array.of(bits).buffer)[0]!;
    const tensors = [
      { name: 'w', dtype: 'F8_E4M3', shape: [1, 2], data: Uint8Array.of(0x38, 0x38) }, // ones
      { name: 'w_scale_inv', dtype: 'F32', shape: [1, 2], data: f32(halfway(0x3f808000), halfway(0x3f818000)) },
    ];
    const read = open(tensors, blocks([1, 1]), (c) => numbers(c, 'w', [1, 2]));
    expect([...read]).toEqual([0x3f80, 0x3f82]);
  });

  it('multiplies in float32 and rounds to the nearest bf16, whatever the blocks', () => {
    const sizes = fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 }));
    const scale = fc.float({ min: Math.fround(1e-6), max: 1, noNaN: true });
    fc.assert(
      fc.property(
        sizes,
        sizes,
        fc.array(scale, { minLength: 81, maxLength: 81 }),
        fc.nat(),
        (shape, block, all, seed) => {
          const [rows, columns] = shape;
          const [down, across] = [Math.ceil(rows / block[0]), Math.ceil(columns / block[1])];
          const data = Uint8Array.from({ length: rows * columns }, (_, i) => (seed + i * 37) % 127);
          const scales = all.slice(0, down * across);
          const tensors = [
            { name: 'before', dtype: 'U8', shape: [1 + (seed % 4)], data: new Uint8Array(1 + (seed % 4)) },
            { name: 'w', dtype: 'F8_E4M3', shape, data },
            { name: 'w_scale_inv', dtype: 'F32', shape: [down, across], data: f32(...scales) },
          ];
          const read = open(tensors, blocks(block), (c) => numbers(c, 'w', shape));
          data.forEach((byte, i) => {
            const at = Math.floor(Math.floor(i / columns) / block[0]) * across + Math.floor((i % columns) / block[1]);
            expect(read[i]).toBe(toBf16(Math.fround(E4M3[byte]! * scales[at]!)));
          });
        },
      ),
      { numRuns: 50 },
    );
  });

  it('takes scales in bf16 for the same in float32', () => {
    const scales = [0.5, 3 * 2 ** -9, 1.25, 7 * 2 ** -12];
    const data = Uint8Array.from({ length: 12 * 20 }, (_, i) => (i * 37) % 127);
    const read = (dtype: string, bytes: Uint8Array) => {
      const w = { name: 'w', dtype: 'F8_E4M3', shape: [12, 20], data };
      const odd = { name: 'odd', dtype: 'U8', shape: [1], data: new Uint8Array(1) }; // nothing behind it is aligned
      const stored = { name: 'w_scale_inv', dtype, shape: [2, 2], data: bytes };
      return open([w, odd, stored], blocks([8, 16]), (c) => numbers(c, 'w', [12, 20]));
    };
    const same = read('F32', f32(...scales));
    expect(read('BF16', new Uint8Array(Uint16Array.from(scales, toBf16).buffer))).toEqual(same);
    expect(new Set(same).size).toBeGreaterThan(100);
  });

  it('takes one matrix of several in a tensor', () => {
    const [rows, columns] = [5, 9];
    const data = Uint8Array.from({ length: 3 * rows * columns }, (_, i) => (i * 41) % 127);
    const scales = Float32Array.from({ length: 3 * 2 * 2 }, (_, i) => 2 ** -i);
    const whole = [
      { name: 'w', dtype: 'F8_E4M3', shape: [3, rows, columns], data },
      { name: 'w_scale_inv', dtype: 'F32', shape: [3, 2, 2], data: new Uint8Array(scales.buffer) },
    ];
    const alone = [
      { name: 'w', dtype: 'F8_E4M3', shape: [rows, columns], data: data.slice(2 * rows * columns) },
      { name: 'w_scale_inv', dtype: 'F32', shape: [2, 2], data: new Uint8Array(scales.slice(8).buffer) },
    ];
    const third = open(whole, blocks([4, 8]), (c) => {
      const source = findSource(c, 'w', [3, rows, columns], 2);
      expect(source.reads.map(({ bytes }) => bytes)).toEqual([rows * columns, 16]);
      return new Uint16Array(makeBytes(source as Parameters<typeof makeBytes>[0], rows * columns * 2));
    });
    expect(third).toEqual(open(alone, blocks([4, 8]), (c) => numbers(c, 'w', [rows, columns])));
  });

  it('refuses a matrix without scales, or with as many as do not fit', () => {
    const { packed } = quantize({ name: 'w', dtype: 'BF16', shape: [4, 4], data: new Uint8Array(32).fill(63) }, [2, 2]);
    const find = (c: Checkpoint) => findSource(c, 'w', [4, 4]);
    expect(fiddlerError('file', () => open([packed[0]!], blocks([2, 2]), find))).toContain('w_scale_inv');
    expect(fiddlerError('file', () => open(packed, blocks([2, 4]), find))).toContain(
      '[2,2] instead of F32, BF16 or F8_E8M0 [2,1]',
    );
    expect(fiddlerError('unsupported', () => open(packed, undefined, find))).toContain('names no fp8 blocks');
  });
});

describe('a quantization that is not read is refused, naming the key:', () => {
  it.each([
    ['quant_method', { quant_method: 'awq', bits: 4 }],
    ['quant_method', { quant_method: 'bitsandbytes' }],
    ['quant_method is "bitsandbytes"', { load_in_4bit: true, bnb_4bit_quant_type: 'nf4' }],
    ['quant_method is "bitsandbytes"', { _load_in_8bit: true }],
    ['quant_method is missing', { bits: 4 }],
    ['fmt', { ...blocks([128, 128]), fmt: 'e5m2' }],
    ['weight_block_size', { quant_method: 'fp8' }],
    ['weight_block_size', blocks([128])],
    ['weight_block_size', blocks([0, 128])],
  ])('%s of %j', (key, quantization) => {
    expect(fiddlerError('unsupported', () => open([], quantization, () => {}))).toContain(`quantization_config.${key}`);
  });
});
