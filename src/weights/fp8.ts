import { FiddlerError } from '../errors.js';
import { view } from '../ggml/memory.js';
import type { Checkpoint, ScaleBlock, StoredTensor } from './checkpoint.js';

/** The scales of an FP8 matrix: one float32 for each block. */
export interface Scale {
  stored: StoredTensor;
  block: ScaleBlock;
}

/** The scales of a matrix, `${name}_scale_inv`. @throws FiddlerError `file` or `unsupported` */
export function findScale(checkpoint: Checkpoint, matrix: StoredTensor): Scale {
  const [rows, columns] = matrix.shape;
  const block = checkpoint.scaleBlock;
  if (!block || matrix.shape.length !== 2) {
    const problem = block ? `${matrix.shape.length} dimensions` : 'type F8_E4M3, but config.json names no fp8 blocks';
    throw new FiddlerError(
      'unsupported',
      `tensor ${matrix.name} in ${matrix.file} has ${problem}`,
      'use the model in bf16',
    );
  }
  const stored = checkpoint.get(`${matrix.name}_scale_inv`);
  const shape = [Math.ceil(rows! / block[0]), Math.ceil(columns! / block[1])];
  if (stored.dtype !== 'F32' || stored.shape.join() !== shape.join()) {
    const problem = `is ${stored.dtype} [${stored.shape}] instead of F32 [${shape}]`;
    throw new FiddlerError('file', `${stored.file}: tensor ${stored.name} ${problem}`, 'download the model again');
  }
  return { stored, block };
}

/** Writes a matrix in bf16: each number times its block's scale in float32, rounded to nearest even. */
export function unpackFp8(matrix: StoredTensor, { stored, block }: Scale, target: Uint16Array): void {
  const [rows, columns] = matrix.shape as [number, number];
  const [high, wide] = block;
  const from = new Uint8Array(view(matrix.address, matrix.bytes));
  // Safetensors aligns no tensor, so the scales are copied before they are read as float32.
  const scales = new Float32Array(new Uint8Array(view(stored.address, stored.bytes)).slice().buffer);
  const table = new Uint16Array(256);
  let next = 0;
  for (let top = 0; top < rows; top += high) {
    for (let left = 0; left < columns; left += wide) {
      fillTable(table, scales[next++]!);
      const right = Math.min(columns, left + wide);
      for (let r = top; r < Math.min(rows, top + high); r++) {
        for (let i = r * columns + left; i < r * columns + right; i++) target[i] = table[from[i]!]!;
      }
    }
  }
}

const product = new Float32Array(1);
const bits = new Uint32Array(product.buffer);

/** The bf16 pattern of every FP8 number times `scale`. */
function fillTable(table: Uint16Array, scale: number): void {
  for (let byte = 0; byte < 256; byte++) {
    product[0] = E4M3[byte]! * scale;
    const pattern = bits[0]!;
    // Adding would carry the mantissa of a number that is none into its exponent.
    table[byte] = Number.isNaN(product[0]) ? 0x7fc0 : (pattern + 0x7fff + ((pattern >>> 16) & 1)) >>> 16;
  }
}

/** E4M3 (arXiv 2209.05433): exponent bias 7, no infinity, all ones is no number. */
const E4M3 = Float32Array.from({ length: 256 }, (_, byte) => {
  const sign = byte & 0x80 ? -1 : 1;
  const exponent = (byte >> 3) & 15;
  const mantissa = byte & 7;
  if (exponent === 15 && mantissa === 7) return Number.NaN;
  return sign * (exponent === 0 ? (mantissa / 8) * 2 ** -6 : (1 + mantissa / 8) * 2 ** (exponent - 7));
});
