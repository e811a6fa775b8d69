import type { ExpertType } from '../../src/ggml/experts.js';

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

function f16ToFloat(half: number): number {
  const exponent = (half >> 10) & 31;
  const mantissa = half & 1023;
  const a = exponent === 0 ? mantissa * 2 ** -24 : (1 + mantissa / 1024) * 2 ** (exponent - 15);
  return half & 0x8000 ? -a : a;
}

/** A row in a stored type. */
export function encodeWeights(type: ExpertType, row: Float32Array): Uint8Array {
  if (type === 'F32') return new Uint8Array(row.slice().buffer);
  if (type !== 'Q8_0') return new Uint8Array(Uint16Array.from(row, type === 'F16' ? floatToF16 : floatToBf16).buffer);
  const out = new DataView(new ArrayBuffer((row.length / 32) * 34));
  for (let block = 0; block < row.length / 32; block++) {
    const values = row.subarray(32 * block, 32 * block + 32);
    const half = floatToF16(Math.max(...values.map(Math.abs)) / 127);
    const scale = f16ToFloat(half) || 1;
    out.setUint16(34 * block, half, true);
    values.forEach((v, i) => {
      out.setInt8(34 * block + 2 + i, Math.max(-127, Math.min(127, Math.round(v / scale))));
    });
  }
  return new Uint8Array(out.buffer);
}

/** The values that a stored row holds. */
export function decodeWeights(type: ExpertType, stored: Uint8Array): Float64Array {
  const data = stored.slice().buffer;
  if (type === 'F32') return Float64Array.from(new Float32Array(data));
  if (type === 'F16') return Float64Array.from(new Uint16Array(data), f16ToFloat);
  if (type === 'BF16') return Float64Array.from(new Uint16Array(data), bf16ToFloat);
  const view = new DataView(data);
  return Float64Array.from({ length: (stored.length / 34) * 32 }, (_, i) => {
    const block = Math.floor(i / 32) * 34;
    return f16ToFloat(view.getUint16(block, true)) * view.getInt8(block + 2 + (i % 32));
  });
}
