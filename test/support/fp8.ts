import type { TensorToWrite } from './safetensors.js';

/** Values of all E4M3 numbers that are finite, from the definition: (−1)^s · 2^(e − 7) · 1.m, and 2^−6 · 0.m for e = 0. */
export const E4M3: readonly number[] = Array.from({ length: 256 }, (_, byte) => {
  const bits = byte.toString(2).padStart(8, '0');
  const [sign, e, m] = [
    bits[0] === '1' ? -1 : 1,
    Number.parseInt(bits.slice(1, 5), 2),
    Number.parseInt(bits.slice(5), 2),
  ];
  if (e === 15 && m === 7) return Number.NaN;
  return e === 0 ? sign * 2 ** -6 * (m / 8) : sign * 2 ** (e - 7) * (1 + m / 8);
});

/** The float32 number whose upper half is this bf16 pattern. */
export function fromBf16(bits: number): number {
  return new Float32Array(Uint32Array.of(bits << 16).buffer)[0]!;
}

/** The bf16 pattern nearest to a float32 number, of two as near the even one. */
export function toBf16(value: number): number {
  const [bits] = new Uint32Array(Float32Array.of(value).buffer) as unknown as [number];
  const low = bits & 0xffff;
  const up = low > 0x8000 || (low === 0x8000 && (bits & 0x10000) !== 0);
  return ((bits >>> 16) + (up ? 1 : 0)) & 0xffff;
}

/** A bf16 matrix as FP8 with one scale a block, and the same numbers in bf16. */
export function quantize(
  { name, shape, data }: TensorToWrite,
  [high, wide]: readonly [number, number],
): { packed: TensorToWrite[]; same: TensorToWrite } {
  const [rows, columns] = shape as [number, number];
  const values = Array.from(new Uint16Array(data.slice().buffer), fromBf16);
  const [down, across] = [Math.ceil(rows / high), Math.ceil(columns / wide)];
  const scales = new Float32Array(down * across);
  const block = (i: number) => Math.floor(Math.floor(i / columns) / high) * across + Math.floor((i % columns) / wide);
  values.forEach((value, i) => {
    scales[block(i)] = Math.max(scales[block(i)]!, Math.abs(value) / 448);
  });
  const bytes = Uint8Array.from(values, (value, i) => nearest(value / scales[block(i)]!));
  const numbers = Uint16Array.from(bytes, (byte, i) => toBf16(Math.fround(E4M3[byte]! * scales[block(i)]!)));
  return {
    packed: [
      { name, dtype: 'F8_E4M3', shape, data: bytes },
      { name: `${name}_scale_inv`, dtype: 'F32', shape: [down, across], data: new Uint8Array(scales.buffer) },
    ],
    same: { name, dtype: 'BF16', shape, data: new Uint8Array(numbers.buffer) },
  };
}

function nearest(value: number): number {
  let best = 0;
  for (let byte = 0; byte < 256; byte++) {
    if (Math.abs(E4M3[byte]! - value) < Math.abs(E4M3[best]! - value)) best = byte;
  }
  return best;
}
