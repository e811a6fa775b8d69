import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { openCpu } from '../../src/devices/accelerators.js';
import { floats, HostMemory, HostTensors } from '../../src/devices/device.js';
import { Uploader } from '../../src/devices/upload.js';
import { Type } from '../../src/native/ggml/tensor.js';
import { Threadpool } from '../../src/native/ggml/threadpool.js';
import { mapAnonymous, unmap, view } from '../../src/native/os/memory.js';

const cpu = openCpu();
const pool = new Threadpool(cpu.pointer, 2, false);
pool.attach(cpu.compute);
afterAll(() => {
  cpu.free();
  pool.free();
});

/** Converts `count` bf16 numbers that lie at an address so far from an aligned one; the target has a margin of ones. */
function upcast(count: number, offset: number): { numbers: Float32Array; expected: Float32Array } {
  const source = mapAnonymous('source', count * 2 + offset);
  const stored = new Uint16Array(view(source.address + BigInt(offset), count * 2));
  for (let i = 0; i < count; i++) stored[i] = 0x3f80 + (i % 0x4000);
  const memory = new HostTensors(1);
  const target = memory.tensor(Type.F32, count + 2);
  memory.allocate(new HostMemory(cpu.bufferType));
  floats(target).fill(1);
  new Uploader(cpu).upload(target, { type: Type.BF16, elements: count, address: source.address + BigInt(offset) }, 4);
  const expected = new Float32Array(count + 2).fill(1);
  const patterns = new Uint32Array(expected.buffer);
  for (let i = 0; i < count; i++) patterns[i + 1] = stored[i]! << 16; // bfloat16 is float32 without its lower half
  const numbers = floats(target).slice();
  memory.free();
  unmap(source);
  return { numbers, expected };
}

describe('numbers of another type', () => {
  it('are converted wherever they lie, however many', () => {
    const near = fc.tuple(fc.nat(3), fc.integer({ min: -2, max: 2 })).map(([rows, more]) => rows * 4096 + more);
    const count = fc.oneof(fc.integer({ min: 1, max: 20_000 }), near).filter((n) => n > 0);
    fc.assert(
      fc.property(count, fc.nat(31), (n, half) => {
        const { numbers, expected } = upcast(n, half * 2);
        expect(Buffer.from(numbers.buffer).equals(Buffer.from(expected.buffer))).toBe(true);
      }),
      { numRuns: 40 },
    );
  });

  it.each([Type.BF16, Type.F32])('are told of once they were read, each once, as type %i', (type) => {
    const count = 2 * (4 << 20) + 7;
    const source = mapAnonymous('source', count * 2);
    const memory = new HostTensors(1);
    const target = memory.tensor(type, count);
    memory.allocate(new HostMemory(cpu.bufferType));
    const parts: [address: bigint, bytes: number][] = [];
    const stored = { type: Type.BF16, elements: count, address: source.address };
    new Uploader(cpu).upload(target, stored, 0, (...part) => parts.push(part));
    expect(parts).toHaveLength(3);
    const ends = parts.map(([address, bytes]) => address + BigInt(bytes));
    expect(parts.map(([address]) => address)).toEqual([source.address, ...ends.slice(0, -1)]);
    expect(ends.at(-1)).toBe(source.address + BigInt(count * 2));
    memory.free();
    unmap(source);
  });

  it('are converted part by part where they are very many', () => {
    const { numbers, expected } = upcast((4 << 20) + 4096 * 3 + 5, 2);
    expect(Buffer.from(numbers.buffer).equals(Buffer.from(expected.buffer))).toBe(true);
  });
});
