import { existsSync } from 'node:fs';
import { expect, it, onTestFinished } from 'vitest';
// As compiled: helpers are started from a file beside it.
import { openSynthetic as openCompiled } from '#fiddler/weights/synthetic.js';
import { openCpu } from '../../src/devices/accelerators.js';
import { floats, HostMemory, HostTensors } from '../../src/devices/device.js';
import { Uploader } from '../../src/devices/upload.js';
import { Type } from '../../src/native/ggml/tensor.js';
import { view } from '../../src/native/os/memory.js';
import { COMPUTED_TYPES } from '../../src/weights/gguf/types.js';
import { findSource } from '../../src/weights/source.js';
import { openSynthetic, type SyntheticTensor } from '../../src/weights/synthetic.js';

/** More than one thread fills alone, and not a whole number of blocks. */
const MATRIX: SyntheticTensor = { name: 'matrix', shape: [300, 1 << 19], dtype: 'BF16' };
const TENSORS: SyntheticTensor[] = [
  MATRIX,
  { name: 'small', shape: [3, 5], dtype: 'BF16' },
  { name: 'vector', shape: [7], dtype: 'BF16' },
  { name: 'bytes', shape: [2, 9], dtype: 'U8', byte: 5 },
  { ...MATRIX, name: 'again', like: 'matrix' },
];

function contents(open: typeof openSynthetic, threads: number): Buffer[] {
  const checkpoint = open('test', TENSORS, threads);
  onTestFinished(() => checkpoint.close());
  return TENSORS.map(({ name }) => checkpoint.get(name)).map(({ address, bytes }) => Buffer.from(view(address, bytes)));
}

it('every matrix is random, whoever takes part in filling it', () => {
  const [matrix, small, vector, bytes, again] = contents(openCompiled, 3);
  const patterns = new Uint16Array(matrix!.buffer, 0, 100_000);
  const values = new Float32Array(Uint32Array.from(patterns, (bits) => bits << 16).buffer);
  const variance = values.reduce((sum, x) => sum + x * x, 0) / values.length;
  expect(Math.sqrt(variance)).toBeCloseTo(0.02, 3);
  expect(small!.some((byte) => byte !== 0)).toBe(true);
  expect(new Uint16Array(vector!.buffer)).toEqual(new Uint16Array(7).fill(0x3f80));
  expect(bytes).toEqual(Buffer.alloc(18, 5));
  expect(again!.equals(matrix!)).toBe(true);

  // No file to start helpers from lies beside the source.
  expect(existsSync('src/weights/conversions/crew-worker.js')).toBe(false);
  const alone = contents(openSynthetic, 3);
  expect(alone.map((each, i) => each.equals([matrix, small, vector, bytes, again][i]!))).toEqual(Array(5).fill(true));
});

it('nothing is written where no thread is given', () => {
  expect(contents(openSynthetic, 0).every((each) => each.equals(Buffer.alloc(each.length)))).toBe(true);
});

it('every type holds ordinary numbers', () => {
  const cpu = openCpu();
  const tensors = COMPUTED_TYPES.map((dtype): SyntheticTensor => ({ name: dtype, shape: [64, 512], dtype }));
  const checkpoint = openSynthetic('test', tensors, 1);
  onTestFinished(() => checkpoint.close());
  for (const { name } of tensors) {
    const memory = new HostTensors(1);
    const tensor = memory.tensor(Type.F32, 512, 64);
    memory.allocate(new HostMemory(cpu.bufferType));
    new Uploader(cpu).upload(tensor, findSource(checkpoint, name, [64, 512]));
    const values = floats(tensor);
    const deviation = Math.sqrt(values.reduce((sum, x) => sum + x * x, 0) / values.length);
    expect(deviation, name).toBeGreaterThan(0.004);
    expect(deviation, name).toBeLessThan(0.06);
    memory.free();
  }
});
