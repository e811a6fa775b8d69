import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { dequantize } from '../../src/native/ggml/dequantize.js';
import { mapAnonymous, unmap, view } from '../../src/native/os/memory.js';
import type { Checkpoint } from '../../src/weights/checkpoint.js';
import { convertHere } from '../../src/weights/conversions/index.js';
import { openCheckpoint } from '../../src/weights/index.js';
import { nvfp4Blocks } from '../../src/weights/nvfp4.js';
import { findSource } from '../../src/weights/source.js';
import { makeBytes } from '../support/conversions.js';
import { fiddlerError } from '../support/errors.js';
import { temporaryFolder } from '../support/folder.js';
import { E4M3 } from '../support/fp8.js';
import { E2M1, NVFP4_CONFIG, type Nvfp4Way } from '../support/nvfp4.js';
import { type TensorToWrite, writeSafetensors } from '../support/safetensors.js';

const [ROWS, COLUMNS] = [32, 128];
/** Every scale that is a number, and every nibble of each. */
const SCALES = Uint8Array.from({ length: (ROWS * COLUMNS) / 16 }, (_, i) => ((i & 0x7f) === 0x7f ? 0 : i));
const BYTES = Uint8Array.from({ length: (ROWS * COLUMNS) / 2 }, (_, i) => (i * 37) % 256);
const FACTOR = Math.fround(0.3);

function matrix(way: Nvfp4Way, shape = [ROWS, COLUMNS] as const): TensorToWrite[] {
  const [packed, factor] = way === 'modelopt' ? ['', 'scale_2'] : ['_packed', 'global_scale'];
  const value = way === 'modelopt' ? FACTOR : 1 / FACTOR;
  const [rows, columns] = shape;
  return [
    { name: `w.weight${packed}`, dtype: 'U8', shape: [rows, columns / 2], data: BYTES },
    { name: 'w.weight_scale', dtype: 'F8_E4M3', shape: [rows, columns / 16], data: SCALES },
    { name: `w.weight_${factor}`, dtype: 'F32', shape: [], data: new Uint8Array(Float32Array.of(value).buffer) },
  ];
}

function open<T>(tensors: TensorToWrite[], use: (checkpoint: Checkpoint) => T, quantization?: object): T {
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

const expected = Array.from({ length: ROWS * COLUMNS }, (_, i) => {
  const nibble = i % 2 === 0 ? BYTES[i >> 1]! & 15 : BYTES[i >> 1]! >> 4;
  return E2M1[nibble]! * E4M3[SCALES[i >> 4]!]!;
});

describe('a matrix in NVFP4', () => {
  it.each(['modelopt', 'compressed-tensors'] as const)('of %s is its numbers times scales and factor', (way) => {
    const found = open(
      matrix(way),
      (c) => {
        expect([...c.tensors.keys()].sort()).toEqual(['w.weight', 'w.weight_factor']);
        const source = findSource(c, 'w.weight', [ROWS, COLUMNS]);
        return new Float32Array(makeBytes(source as Parameters<typeof makeBytes>[0], source.elements * 4));
      },
      NVFP4_CONFIG[way],
    );
    const factor = way === 'modelopt' ? FACTOR : Math.fround(1 / Math.fround(1 / FACTOR));
    expect([...found]).toEqual(expected.map((value) => Math.fround(value * factor)));
  });

  it('is the same in blocks, without its factor', () => {
    open(matrix('modelopt'), (c) => {
      const { make, elements, type } = nvfp4Blocks(c.get('w.weight'));
      const [blocks, numbers] = [mapAnonymous('blocks', (elements / 64) * 36), mapAnonymous('numbers', 4 * elements)];
      make(blocks.address, convertHere);
      dequantize(type, blocks.address, numbers.address, elements);
      const found = [...new Float32Array(view(numbers.address, 4 * elements))];
      for (const each of [blocks, numbers]) unmap(each);
      expect(found.map((value) => value + 0)).toEqual(expected.map((value) => value + 0)); // -0 is 0
    });
  });

  it('is refused where what belongs to it does not fit', () => {
    const parts = matrix('modelopt');
    const changed = (at: number, change: Partial<TensorToWrite>) =>
      parts.map((part, i) => (i === at ? { ...part, ...change } : part));
    const refusal = (code: 'file' | 'unsupported', tensors: TensorToWrite[]) =>
      fiddlerError(code, () => open(tensors, (c) => findSource(c, 'w.weight', [ROWS, COLUMNS])));
    expect(refusal('file', changed(1, { shape: [ROWS / 2, COLUMNS / 8] }))).toContain(
      'w.weight_scale has shape [16,16]',
    );
    expect(refusal('file', changed(2, { dtype: 'I32' }))).toContain('w.weight_scale_2 is I32 of 4 bytes');
    expect(refusal('file', parts.slice(0, 2))).toContain('w.weight_scale has no weight_scale_2 beside it');
    const before = { name: 'w.pre_quant_scale', dtype: 'F32', shape: [1], data: new Uint8Array(4) };
    expect(refusal('unsupported', [...parts, before])).toContain('w.pre_quant_scale scales inputs');
    const narrow = matrix('modelopt', [ROWS * 4, COLUMNS / 4]);
    expect(fiddlerError('unsupported', () => open(narrow, (c) => nvfp4Blocks(c.get('w.weight'))))).toContain(
      'has rows of 32 numbers in NVFP4, whose blocks have 64',
    );
  });
});

describe('what config.json says of NVFP4 is refused by its key where it is not read:', () => {
  const modelopt = (change: object) => ({ ...NVFP4_CONFIG.modelopt, ...change });
  const compressed = (change: object) => ({ ...NVFP4_CONFIG['compressed-tensors'], ...change });
  const weights = (change: object) => {
    return { config_groups: { a: { weights: { num_bits: 4, type: 'float', group_size: 16, ...change } } } };
  };
  it.each([
    ['quant_algo is "NVFP4_AWQ"', modelopt({ quant_algo: 'NVFP4_AWQ' })],
    ['quant_algo is "FP8"', modelopt({ quant_algo: 'FP8' })],
    ['group_size is 32', modelopt({ group_size: 32 })],
    ['config_groups.a.weights.num_bits is 8', modelopt(weights({ num_bits: 8 }))],
    [
      'quantized_layers.x.quant_algo is "FP8"',
      modelopt({ quant_algo: 'MIXED_PRECISION', quantized_layers: { x: { quant_algo: 'FP8' } } }),
    ],
    ['format is "pack-quantized"', compressed({ format: 'pack-quantized' })],
    [
      'config_groups.a.format is "float-quantized"',
      compressed({ config_groups: { a: { format: 'float-quantized' } } }),
    ],
    ['config_groups.a.weights.type is "int"', compressed(weights({ type: 'int' }))],
    ['config_groups.a.weights.group_size is 32', compressed(weights({ group_size: 32 }))],
    ['config_groups.a.weights.symmetric is false', compressed(weights({ symmetric: false }))],
    ['transform_config.config_groups is {}', compressed({ transform_config: { config_groups: {} } })],
    ['sparsity_config.format is "sparse-24"', compressed({ sparsity_config: { format: 'sparse-24' } })],
  ])('%s', (key, quantization) => {
    const message = fiddlerError('unsupported', () => open([], () => {}, quantization));
    expect(message).toContain(`quantization_config.${key}`);
  });
});
