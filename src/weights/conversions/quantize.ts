import { FiddlerError } from '../../errors.js';
import type { Pointer } from '../../native/ggml/api.js';
import { dequantize } from '../../native/ggml/dequantize.js';
import { quantize } from '../../native/ggml/quantize.js';
import { blockBytes, blockElements, rowBytes, Type } from '../../native/ggml/tensor.js';
import { view } from '../../native/os/memory.js';
import type { Rows } from './rows.js';

/** Plain numbers that become blocks of another type; a row of the result is one block. */
export interface Quantizing extends Rows {
  from: Pointer;
  fromType: Type;
  type: Type;
}

/** Times as long as copying, about. */
const WORK = 32;
/** Numbers that are held as float32 at a time: they stay in the second cache. */
const PIECE = 1 << 15;

/** How `elements` plain numbers at `from` become blocks; they must be whole ones. */
export function quantizing(
  from: Pointer,
  fromType: Type,
  type: Type,
  elements: number,
): { kind: 'quantize' } & Quantizing {
  const rows = elements / blockElements(type);
  return { kind: 'quantize', rows, rowBytes: blockBytes(type), band: 1, work: WORK, from, fromType, type };
}

/** Writes blocks [begin, end). @throws FiddlerError `file`: numbers that are infinite or none */
export function quantizeBlocks(source: Quantizing, target: Pointer, begin: number, end: number): void {
  const { from, fromType, type } = source;
  const each = blockElements(type);
  const numbers = new Float32Array(PIECE);
  for (let at = begin * each; at < end * each; at += PIECE) {
    const piece = numbers.subarray(0, Math.min(PIECE, end * each - at));
    read(fromType, from + BigInt(rowBytes(fromType, at)), piece);
    checkFinite(piece);
    quantize(type, piece, target + BigInt(rowBytes(type, at)));
  }
}

function read(type: Type, from: Pointer, numbers: Float32Array): void {
  if (type === Type.F32)
    new Uint8Array(numbers.buffer, 0, numbers.byteLength).set(new Uint8Array(view(from, numbers.byteLength)));
  else dequantize(type, from, numbers, numbers.length);
}

function checkFinite(numbers: Float32Array): void {
  let none = 0; // what is infinite or none gives none here
  for (let i = 0; i < numbers.length; i++) none += numbers[i]! - numbers[i]!;
  if (none === 0) return;
  throw new FiddlerError(
    'file',
    'weights that are to be quantized hold numbers that are infinite or none',
    'download the model again, or load it without --quantize',
  );
}
