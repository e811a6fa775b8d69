import type { Pointer } from '../../native/ggml/api.js';
import { view } from '../../native/os/memory.js';
import { E4M3 } from './fp8.js';
import type { Rows } from './rows.js';

/** Numbers that share a scale, the bytes they take, and those of ggml's block_nvfp4. */
export const SUB_BLOCK = 16;
const PACKED = SUB_BLOCK / 2;
export const SUPER_BLOCK = 64;
const SCALES = SUPER_BLOCK / SUB_BLOCK;

/** A matrix of E2M1 numbers, two a byte, with a scale of E4M3 for 16 of a row. */
export interface Nvfp4Matrix extends Rows {
  columns: number;
  numbers: Pointer;
  scales: Pointer;
}

/** Of which rows become float32, times a factor. */
export interface E2m1Matrix extends Nvfp4Matrix {
  factor: number;
}

/**
 * Writes rows [begin, end) as blocks: four scales, whose signs go to the numbers, since ggml's have none; then of each
 * scale's numbers i in the low and i + 8 in the high half of byte i.
 */
export function repackNvfp4(matrix: Nvfp4Matrix, target: Pointer, begin: number, end: number): void {
  const { from, scales } = rowsOf(matrix, begin, end);
  const to = new Uint8Array(view(target + BigInt(begin * matrix.rowBytes), (end - begin) * matrix.rowBytes));
  let out = 0;
  for (let block = 0; block < scales.length; block += SCALES) {
    for (let s = block; s < block + SCALES; s++) to[out++] = scales[s]! & 0x7f;
    for (let s = block; s < block + SCALES; s++) {
      const flip = scales[s]! & 0x80 ? 0x88 : 0;
      const first = s * PACKED;
      for (let i = first; i < first + PACKED / 2; i++) {
        const [a, b] = [from[i]!, from[i + PACKED / 2]!];
        to[out++] = ((a & 15) | ((b & 15) << 4)) ^ flip;
        to[out++] = ((a >> 4) | (b & 0xf0)) ^ flip;
      }
    }
  }
}

/** Writes rows [begin, end) as float32. */
export function unpackE2m1(matrix: E2m1Matrix, target: Pointer, begin: number, end: number): void {
  const { from, scales } = rowsOf(matrix, begin, end);
  const to = new Float32Array(view(target + BigInt(begin * matrix.rowBytes), (end - begin) * matrix.rowBytes));
  for (let s = 0, out = 0; s < scales.length; s++) {
    const scale = E4M3[scales[s]!]!;
    for (let i = s * PACKED; i < (s + 1) * PACKED; i++) {
      to[out++] = E2M1[from[i]! & 15]! * scale * matrix.factor;
      to[out++] = E2M1[from[i]! >> 4]! * scale * matrix.factor;
    }
  }
}

function rowsOf({ columns, numbers, scales }: Nvfp4Matrix, begin: number, end: number) {
  const part = (from: Pointer, bytes: number) =>
    new Uint8Array(view(from + BigInt(begin * bytes), (end - begin) * bytes));
  return { from: part(numbers, columns / 2), scales: part(scales, columns / SUB_BLOCK) };
}

/** A sign, two bits of exponent and one of mantissa (OCP Microscaling Formats 1.0). */
const MAGNITUDES = [0, 0.5, 1, 1.5, 2, 3, 4, 6];
const E2M1 = [...MAGNITUDES, ...MAGNITUDES.map((value) => -value)];
