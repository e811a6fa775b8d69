import { FiddlerError } from '../../errors.js';
import type { Pointer } from '../../native/ggml/api.js';
import { dequantize } from '../../native/ggml/dequantize.js';
import { quantize } from '../../native/ggml/quantize.js';
import { blockBytes, blockElements, rowBytes, Type, typeName } from '../../native/ggml/tensor.js';
import { BLOCKS_MADE, loadExpertKernels } from '../../native/kernels.js';
import { view } from '../../native/os/memory.js';
import type { PlainDType } from '../checkpoint.js';
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
export function quantizeBlocks(
  { from, fromType, type }: Quantizing,
  target: Pointer,
  begin: number,
  end: number,
): void {
  const [first, count] = [begin * blockElements(type), (end - begin) * blockElements(type)];
  const [source, blocks] = [from + BigInt(rowBytes(fromType, first)), target + BigInt(rowBytes(type, first))];
  const name = BLOCKS_MADE.find((name) => Type[name] === type);
  const kernels = name && loadExpertKernels();
  const finite = kernels
    ? kernels.quantize(name, typeName(fromType) as PlainDType, source, blocks, count)
    : byGgml(fromType, source, type, blocks, count);
  if (finite) return;
  throw new FiddlerError(
    'file',
    'weights that become blocks hold numbers that are infinite or none',
    'download the model again, or load it without --quantize; where they are in FP8, with --dtype f32',
  );
}

/** Of this thread: a new one for each call would be garbage of as many bytes as it reads. */
let numbers: Float32Array | undefined;

/** By ggml's quantizer, which takes float32. @returns false where a number is infinite or none */
function byGgml(fromType: Type, from: Pointer, type: Type, blocks: Pointer, elements: number): boolean {
  numbers ??= new Float32Array(PIECE);
  for (let at = 0; at < elements; at += PIECE) {
    const piece = numbers.subarray(0, Math.min(PIECE, elements - at));
    read(fromType, from + BigInt(rowBytes(fromType, at)), piece);
    if (!allFinite(piece)) return false;
    quantize(type, piece, blocks + BigInt(rowBytes(type, at)));
  }
  return true;
}

function read(type: Type, from: Pointer, numbers: Float32Array): void {
  const { buffer, byteLength } = numbers;
  if (type === Type.F32) new Uint8Array(buffer, 0, byteLength).set(new Uint8Array(view(from, byteLength)));
  else dequantize(type, from, numbers, numbers.length);
}

function allFinite(numbers: Float32Array): boolean {
  let none = 0; // what is infinite or none gives none here
  for (let i = 0; i < numbers.length; i++) none += numbers[i]! - numbers[i]!;
  return none === 0;
}
