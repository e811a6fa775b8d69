import type { Pointer } from '../../native/ggml/api.js';
import { blockBytes, Type } from '../../native/ggml/tensor.js';
import { memmove, view } from '../../native/os/memory.js';
import type { DType } from '../checkpoint.js';
import { FIXED } from './random-blocks.js';
import type { Rows } from './rows.js';

/** Random numbers, the same in every period of them. */
export interface Noise extends Rows {
  dtype: DType;
  /** Of the whole: the last period may be shorter. */
  bytes: number;
}

/** Bytes of a period, about. */
const PERIOD = 8 << 20;
const DEVIATION = 0.02;
const SEED = 1;
/** Tensors begin at multiples of this many bytes, and of their blocks. */
const PAGE = 4096;

/** Multiples of so many bytes begin both a page and a block of the type. */
export function alignmentOf(dtype: DType): number {
  const block = blockBytes(Type[dtype]);
  let [a, b] = [PAGE, block];
  while (b > 0) [a, b] = [b, a % b];
  return (PAGE / a) * block;
}

/** `bytes` of numbers of a type, of deviation 0.02 or about that. */
export function noise(bytes: number, dtype: DType = 'BF16'): { kind: 'noise' } & Noise {
  const alignment = alignmentOf(dtype);
  const rowBytes = Math.ceil(PERIOD / alignment) * alignment;
  return { kind: 'noise', dtype, bytes, rows: Math.ceil(bytes / rowBytes), rowBytes, band: 1 };
}

export function makeNoise({ dtype, bytes, rowBytes }: Noise, target: Pointer, begin: number, end: number): void {
  const from = begin * rowBytes;
  const to = Math.min(end * rowBytes, bytes);
  const first = Math.min(rowBytes, to - from);
  const source = target + BigInt(from);
  new Uint8Array(view(source, first)).set(beginningOf(dtype, first));
  for (let at = from + first; at < to; at += rowBytes) {
    memmove(target + BigInt(at), source, Math.min(rowBytes, to - at));
  }
}

/** As much of each type's period as was needed so far. */
const beginnings = new Map<DType, Uint8Array>();

function beginningOf(dtype: DType, bytes: number): Uint8Array {
  let made = beginnings.get(dtype);
  if (!made || made.length < bytes) {
    const alignment = alignmentOf(dtype);
    const whole = Math.ceil(bytes / alignment) * alignment;
    made = dtype === 'BF16' ? randomNumbers(whole) : randomBlocks(dtype, whole);
    beginnings.set(dtype, made);
  }
  return made.subarray(0, bytes);
}

/** Numbers from −1/2 to 1/2. */
function uniform(): () => number {
  let state = SEED;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0; // Numerical Recipes, section 7.1
    return state / 2 ** 32 - 0.5;
  };
}

/** Random numbers as bf16 patterns: the sum of four uniform ones is near enough to a normal one. */
function randomNumbers(bytes: number): Uint8Array {
  const patterns = new Uint16Array(bytes / 2);
  const float = new Float32Array(1);
  const bits = new Uint32Array(float.buffer);
  const next = uniform();
  for (let i = 0; i < patterns.length; i++) {
    float[0] = (next() + next() + next() + next()) * Math.sqrt(3) * DEVIATION;
    patterns[i] = bits[0]! >>> 16;
  }
  return new Uint8Array(patterns.buffer);
}

/** Blocks of a type: random bits, but for what would make a block no numbers, or huge ones. */
function randomBlocks(dtype: DType, bytes: number): Uint8Array {
  const made = new Uint8Array(bytes);
  const next = uniform();
  for (let i = 0; i < bytes; i++) made[i] = (next() + 0.5) * 256;
  // Of plain numbers, sign and mantissa are random.
  if (dtype === 'F16') for (let at = 1; at < bytes; at += 2) made[at] = (made[at]! & 0x83) | 0x24;
  if (dtype === 'F32')
    for (let at = 3; at < bytes; at += 4) made.set([made[at - 1]! & 0x7f, (made[at]! & 0x80) | 0x3c], at - 1);
  const size = blockBytes(Type[dtype]);
  for (const [offset, ...fixed] of FIXED[dtype] ?? []) {
    for (let at = offset; at < bytes; at += size) made.set(fixed, at);
  }
  return made;
}
