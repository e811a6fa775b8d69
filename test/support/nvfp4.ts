import { E4M3, fromBf16 } from './fp8.js';
import type { TensorToWrite } from './safetensors.js';

/** Values of E2M1, from the definition: (−1)^s · 2^(e − 1) · 1.m, and 0.m for e = 0. */
export const E2M1: readonly number[] = Array.from({ length: 16 }, (_, bits) => {
  const [sign, e, m] = [bits & 8 ? -1 : 1, (bits >> 1) & 3, bits & 1];
  return sign * (e === 0 ? m / 2 : 2 ** (e - 1) * (1 + m / 2));
});

export type Nvfp4Way = 'modelopt' | 'compressed-tensors';

/** What config.json says of it. */
export const NVFP4_CONFIG: Readonly<Record<Nvfp4Way, object>> = {
  modelopt: {
    quant_method: 'modelopt',
    quant_algo: 'NVFP4',
    config_groups: { group_0: { weights: { dynamic: false, num_bits: 4, type: 'float', group_size: 16 } } },
    kv_cache_scheme: { num_bits: 8, type: 'float' },
    ignore: ['lm_head', '*.gate'],
  },
  'compressed-tensors': {
    quant_method: 'compressed-tensors',
    format: 'nvfp4-pack-quantized',
    config_groups: {
      group_0: {
        targets: ['Linear'],
        weights: { num_bits: 4, type: 'float', strategy: 'tensor_group', group_size: 16, symmetric: true },
        input_activations: { num_bits: 4, type: 'float', group_size: 16, dynamic: 'local' },
      },
    },
    sparsity_config: {},
    transform_config: {},
  },
};

const f32 = (name: string, value: number): TensorToWrite => {
  return { name, dtype: 'F32', shape: [1], data: new Uint8Array(Float32Array.of(value).buffer) };
};

/** A bf16 matrix in NVFP4, every third scale negative, and the same numbers in float32. */
export function quantizeNvfp4(
  { name, shape, data }: TensorToWrite,
  way: Nvfp4Way,
): { packed: TensorToWrite[]; same: TensorToWrite } {
  const [rows, columns] = shape as [number, number];
  const values = Array.from(new Uint16Array(data.slice().buffer), fromBf16);
  const factor = Math.fround(Math.max(...values.map(Math.abs)) / (6 * 448));
  const scales = Uint8Array.from({ length: values.length / 16 }, (_, s) => {
    const largest = Math.max(...values.slice(16 * s, 16 * s + 16).map(Math.abs));
    return nearest(E4M3.slice(0, 0x7f), largest / 6 / factor) | (s % 3 === 0 ? 0x80 : 0);
  });
  const scaleOf = (i: number) => E4M3[scales[i >> 4]!]!;
  const nibbles = values.map((value, i) => (scaleOf(i) === 0 ? 0 : nearest(E2M1, value / scaleOf(i) / factor)));
  const bytes = Uint8Array.from({ length: nibbles.length / 2 }, (_, i) => nibbles[2 * i]! | (nibbles[2 * i + 1]! << 4));
  const numbers = Float32Array.from(nibbles, (nibble, i) => E2M1[nibble]! * scaleOf(i) * factor);
  const stem = name.replace(/\.weight$/, '');
  const modelopt = way === 'modelopt';
  return {
    packed: [
      { name: `${stem}.weight${modelopt ? '' : '_packed'}`, dtype: 'U8', shape: [rows, columns / 2], data: bytes },
      { name: `${stem}.weight_scale`, dtype: 'F8_E4M3', shape: [rows, columns / 16], data: scales },
      modelopt ? f32(`${stem}.weight_scale_2`, factor) : f32(`${stem}.weight_global_scale`, 1 / factor),
      f32(`${stem}.input_${modelopt ? '' : 'global_'}scale`, 0.01),
    ],
    same: { name, dtype: 'F32', shape, data: new Uint8Array(numbers.buffer) },
  };
}

function nearest(all: readonly number[], value: number): number {
  return all.reduce((best, x, i) => (Math.abs(x - value) < Math.abs(all[best]! - value) ? i : best), 0);
}
