import { workerData } from 'node:worker_threads';
import { memmove, view } from '../ggml/memory.js';
import type { FillTask } from './synthetic.js';

const BLOCK_BYTES = 8 << 20;
const DEVIATION = 0.02;

/** Random numbers as bf16 patterns: the sum of four uniform ones is near enough to a normal one. */
function randomBlock(bytes: number, seed: number): Uint16Array {
  const values = new Uint16Array(bytes / 2);
  const float = new Float32Array(1);
  const bits = new Uint32Array(float.buffer);
  let state = seed;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0; // Numerical Recipes, section 7.1
    return state / 2 ** 32 - 0.5;
  };
  for (let i = 0; i < values.length; i++) {
    float[0] = (uniform() + uniform() + uniform() + uniform()) * Math.sqrt(3) * DEVIATION;
    values[i] = bits[0]! >>> 16;
  }
  return values;
}

const { from, bytes, seed, done } = workerData as FillTask;
const first = Math.min(BLOCK_BYTES, bytes);
new Uint16Array(view(from, first)).set(randomBlock(first, seed));
for (let at = first; at < bytes; at += first) memmove(from + BigInt(at), from, Math.min(first, bytes - at));
const counter = new Int32Array(done);
Atomics.add(counter, 0, 1);
Atomics.notify(counter, 0);
