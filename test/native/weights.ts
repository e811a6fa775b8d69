import type { ExpertType } from '../../src/native/expert-arguments.js';
import { loadLibraries } from '../../src/native/ggml/libraries.js';
import { blockBytes, blockElements, Type } from '../../src/native/ggml/tensor.js';

/** A generator of roughly normal numbers (the sum of three uniform ones), the same for the same seed. */
export function random(seed: number): () => number {
  let state = seed >>> 0 || 1;
  const uniform = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32 - 0.5;
  };
  return () => 2 * (uniform() + uniform() + uniform());
}

const bits = new DataView(new ArrayBuffer(4));

function floatToBf16(value: number): number {
  bits.setFloat32(0, value);
  const word = bits.getUint32(0);
  return ((word + 0x7fff + ((word >>> 16) & 1)) >>> 16) & 0xffff;
}

function bf16ToFloat(half: number): number {
  bits.setUint32(0, half << 16);
  return bits.getFloat32(0);
}

function floatToF16(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const a = Math.abs(value);
  if (a < 2 ** -24) return sign;
  const exponent = Math.max(-14, Math.floor(Math.log2(a)));
  const steps = Math.round(a / 2 ** (exponent - 10)); // 1024 .. 2048, or less below 2^-14
  return sign | (exponent === -14 ? steps : ((exponent + 15) << 10) + steps - 1024);
}

const halves = new Float64Array(2 ** 16).map((_, half) => halfToFloat(half));
const f16ToFloat = (half: number): number => halves[half]!;

function halfToFloat(half: number): number {
  const exponent = (half >> 10) & 31;
  const mantissa = half & 1023;
  const a = exponent === 0 ? mantissa * 2 ** -24 : (1 + mantissa / 1024) * 2 ** (exponent - 15);
  return half & 0x8000 ? -a : a;
}

/** Elements of a block of a type. */
export function blockOf(type: ExpertType): number {
  return blockElements(Type[type]);
}

/** Blocks of a type that ggml made of random numbers with a deviation of DEVIATION, and what it says that they hold. */
interface Pool {
  stored: Uint8Array;
  values: Float32Array;
}
const POOL_BLOCKS = 64;
const DEVIATION = 1 / 16;
const pools = new Map<ExpertType, Pool>();

function makePool(type: ExpertType): Pool {
  const { base } = loadLibraries();
  const quantize = base.func(
    'size_t ggml_quantize_chunk(int type, const float* from, void* to, int64_t start, int64_t rows, int64_t columns, const float* importance)',
  );
  const dequantize = base.func(`void dequantize_row_${ggmlName(type)}(const void* from, float* to, int64_t count)`);
  const next = random(EXPERT_SEED);
  const count = POOL_BLOCKS * blockOf(type);
  const numbers = new Float32Array(count).map(() => DEVIATION * next());
  const stored = new Uint8Array(POOL_BLOCKS * blockBytes(Type[type]));
  quantize(Type[type], numbers, stored, 0, 1, count, new Float32Array(count).fill(1));
  const values = new Float32Array(count);
  dequantize(stored, values, count);
  return { stored, values };
}
const EXPERT_SEED = 11;

/** As the names of ggml's functions have it: q4_K, iq4_xs. */
function ggmlName(type: ExpertType): string {
  return type.toLowerCase().replace(/_k$/, '_K');
}

/** A row of random weights in a stored type, and the values that it holds. */
export function randomRow(type: ExpertType, columns: number, scale: number, next: () => number) {
  if (type === 'F32' || type === 'F16' || type === 'BF16' || type === 'Q8_0') {
    const stored = encodeWeights(
      type,
      new Float32Array(columns).map(() => scale * next()),
    );
    return { stored, values: decodeWeights(type, stored) };
  }
  const pool = pools.get(type) ?? makePool(type);
  pools.set(type, pool);
  const [elements, bytes] = [blockOf(type), blockBytes(Type[type])];
  const count = columns / elements;
  const [stored, values] = [new Uint8Array(count * bytes), new Float64Array(columns)];
  for (let block = 0; block < count; block++) {
    const i = Math.floor(Math.abs(next()) * 1e6) % POOL_BLOCKS;
    stored.set(pool.stored.subarray(i * bytes, (i + 1) * bytes), block * bytes);
    values.set(pool.values.subarray(i * elements, (i + 1) * elements), block * elements);
  }
  return { stored, values };
}

/** Types whose rows are encoded here, value by value. */
type Encoded = 'F32' | 'F16' | 'BF16' | 'Q8_0';

/** A row in a stored type. */
export function encodeWeights(type: Encoded, row: Float32Array): Uint8Array {
  if (type === 'F32') return new Uint8Array(row.slice().buffer);
  if (type !== 'Q8_0') {
    const encode = type === 'F16' ? floatToF16 : floatToBf16;
    const encoded = new Uint16Array(row.length);
    for (let i = 0; i < row.length; i++) encoded[i] = encode(row[i]!);
    return new Uint8Array(encoded.buffer);
  }
  const out = new DataView(new ArrayBuffer((row.length / 32) * 34));
  for (let block = 0; block < row.length / 32; block++) {
    let largest = 0;
    for (let i = 32 * block; i < 32 * block + 32; i++) largest = Math.max(largest, Math.abs(row[i]!));
    const half = floatToF16(largest / 127);
    const scale = f16ToFloat(half) || 1;
    out.setUint16(34 * block, half, true);
    for (let i = 0; i < 32; i++) {
      const rounded = Math.round(row[32 * block + i]! / scale);
      out.setInt8(34 * block + 2 + i, Math.max(-127, Math.min(127, rounded)));
    }
  }
  return new Uint8Array(out.buffer);
}

/** The values that a stored row holds. */
export function decodeWeights(type: Encoded, stored: Uint8Array): Float64Array {
  const data = stored.slice().buffer;
  if (type === 'F32') return new Float64Array(new Float32Array(data));
  if (type !== 'Q8_0') {
    const decode = type === 'F16' ? f16ToFloat : bf16ToFloat;
    const encoded = new Uint16Array(data);
    const values = new Float64Array(encoded.length);
    for (let i = 0; i < values.length; i++) values[i] = decode(encoded[i]!);
    return values;
  }
  const view = new DataView(data);
  const values = new Float64Array((stored.length / 34) * 32);
  for (let i = 0; i < values.length; i++) {
    const block = Math.floor(i / 32) * 34;
    values[i] = f16ToFloat(view.getUint16(block, true)) * view.getInt8(block + 2 + (i % 32));
  }
  return values;
}
