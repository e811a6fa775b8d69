import { afterAll, describe, expect, it } from 'vitest';
import { api } from '../../src/native/ggml/api.js';
import { blockBytes, rowBytes, Type } from '../../src/native/ggml/tensor.js';
import { BLOCKS_MADE, loadExpertKernels } from '../../src/native/kernels.js';
import { mapAnonymous, unmap, view } from '../../src/native/os/memory.js';
import { fromBf16, toBf16 } from '../support/fp8.js';
import { numbersFrom } from '../support/numbers.js';

const kernels = loadExpertKernels();
const BLOCK = 256;
/** An odd number of blocks: two are made together. */
const BLOCKS = 37;

/** Numbers that lead a search into every corner. */
const KINDS: Record<string, (draw: () => number, i: number) => number> = {
  normal: (draw) => (draw() + draw() + draw() - 1.5) * 0.02,
  negative: (draw) => -draw() - 1,
  positive: (draw) => draw() + 0.5,
  'mostly zero': (draw, i) => ((i >> 5) % 3 ? 0 : draw() - 0.5),
  subnormal: (draw) => (draw() - 0.5) * 1e-38,
  huge: (draw) => (draw() - 0.5) * 1e37,
  'of all sizes': (draw, i) => (draw() - 0.5) * 10 ** ((((i >> 5) * 7) % 60) - 30),
  constant: (_, i) => ((i >> 5) % 5) - 2,
  'far between': (draw) => (draw() < 0.01 ? 100 : 0.01) * draw(),
};

describe.skipIf(!kernels)('quantizing by native kernels', () => {
  const { available, select, quantize } = {
    available: kernels!.available,
    select: (name: string | null) => kernels!.select(name),
    quantize: kernels!.quantize.bind(kernels),
  };
  afterAll(() => select(null));

  it.each(available.flatMap((kernel) => BLOCKS_MADE.map((type) => ({ kernel, type }))))(
    '$type by $kernel is what ggml makes, bit for bit',
    ({ kernel, type }) => {
      select(kernel);
      for (const [name, of] of Object.entries(KINDS)) {
        for (const from of ['F32', 'BF16', 'F16'] as const) {
          const draw = numbersFrom(name.length);
          const numbers = Float32Array.from({ length: BLOCKS * BLOCK }, (_, i) => of(draw, i));
          const stored = storedAs(from, numbers);
          const [source, made, expected] = [stored.length + 1, 0, 0].map((bytes) =>
            mapAnonymous('test', bytes || BLOCKS * blockBytes(Type[type])),
          ) as [Memory, Memory, Memory];
          new Uint8Array(view(source.address, source.bytes)).set(stored, 1); // at an odd address
          expect(quantize(type, from, source.address + 1n, made.address, numbers.length)).toBe(true);
          api().quantizeChunk(Type[type], numbers, expected.address, 0, 1, numbers.length, null);
          const [a, b] = [made, expected].map((m) => Buffer.from(view(m.address, m.bytes)));
          expect(a!.equals(b!), `${name} from ${from}`).toBe(true);
          for (const memory of [source, made, expected]) unmap(memory);
        }
      }
    },
  );

  it.each(BLOCKS_MADE)('%s is refused where a number is infinite or none, wherever it is', (type) => {
    const made = mapAnonymous('test', 3 * rowBytes(Type[type], BLOCK));
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      for (const at of [0, 31, 255, 256, 767]) {
        const source = mapAnonymous('test', 12 * BLOCK);
        const numbers = new Float32Array(view(source.address, source.bytes)).fill(0.5);
        const run = () => quantize(type, 'F32', source.address, made.address, numbers.length);
        expect(run()).toBe(true);
        numbers[at] = value;
        expect(run()).toBe(false);
        unmap(source);
      }
    }
    unmap(made);
  });
});

type Memory = ReturnType<typeof mapAnonymous>;

/** The numbers as a file would hold them; `numbers` become what these are. */
function storedAs(type: 'F32' | 'BF16' | 'F16', numbers: Float32Array): Uint8Array {
  if (type === 'F32') return new Uint8Array(numbers.slice().buffer);
  const patterns = new Uint16Array(numbers.length);
  for (const [i, number] of numbers.entries()) {
    patterns[i] = type === 'BF16' ? toBf16(number) : nearbyHalf(number);
    numbers[i] = type === 'BF16' ? fromBf16(patterns[i]!) : fromHalf(patterns[i]!);
  }
  return new Uint8Array(patterns.buffer);
}

/** A half-precision number near another, or the largest or none that is smaller. */
function nearbyHalf(number: number): number {
  const size = Math.min(Math.abs(number), 65504);
  const exponent = Math.max(-14, Math.floor(Math.log2(size || 2 ** -14)));
  const mantissa = Math.min(2047, Math.floor(size * 2 ** (10 - exponent)));
  const normal = mantissa >= 1024;
  return (number < 0 ? 0x8000 : 0) | (normal ? ((exponent + 15) << 10) | (mantissa & 1023) : mantissa);
}

/** From the definition: (−1)^s · 2^(e − 15) · 1.m, and 2^−14 · 0.m for e = 0. */
function fromHalf(bits: number): number {
  const [sign, e, m] = [bits & 0x8000 ? -1 : 1, (bits >> 10) & 31, (bits & 1023) / 1024];
  return e === 0 ? sign * 2 ** -14 * m : sign * 2 ** (e - 15) * (1 + m);
}
