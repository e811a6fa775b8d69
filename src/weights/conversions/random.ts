import type { Pointer } from '../../ggml/api.js';
import { memmove, view } from '../../ggml/memory.js';
import type { Rows } from './rows.js';

/** Random numbers, the same in every block of them. */
export interface Noise extends Rows {
  /** Of the whole: the last row may be shorter. */
  bytes: number;
}

const BLOCK_BYTES = 8 << 20;
const DEVIATION = 0.02;
const SEED = 1;

/** `bytes` of bf16 numbers of deviation 0.02. */
export function noise(bytes: number): { kind: 'noise' } & Noise {
  return { kind: 'noise', bytes, rows: Math.ceil(bytes / BLOCK_BYTES), rowBytes: BLOCK_BYTES, band: 1 };
}

export function makeNoise({ bytes, rowBytes }: Noise, target: Pointer, begin: number, end: number): void {
  const from = begin * rowBytes;
  const to = Math.min(end * rowBytes, bytes);
  const first = Math.min(rowBytes, to - from);
  const source = target + BigInt(from);
  new Uint16Array(view(source, first)).set(randomBlock().subarray(0, first / 2));
  for (let at = from + first; at < to; at += rowBytes) {
    memmove(target + BigInt(at), source, Math.min(rowBytes, to - at));
  }
}

let block: Uint16Array | undefined;

/** Random numbers as bf16 patterns: the sum of four uniform ones is near enough to a normal one. */
function randomBlock(): Uint16Array {
  if (block) return block;
  block = new Uint16Array(BLOCK_BYTES / 2);
  const float = new Float32Array(1);
  const bits = new Uint32Array(float.buffer);
  let state = SEED;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0; // Numerical Recipes, section 7.1
    return state / 2 ** 32 - 0.5;
  };
  for (let i = 0; i < block.length; i++) {
    float[0] = (uniform() + uniform() + uniform() + uniform()) * Math.sqrt(3) * DEVIATION;
    block[i] = bits[0]! >>> 16;
  }
  return block;
}
