import { describe, expect, it } from 'vitest';
import { readRotation, yarnMagnitude } from '../../src/models/rope.js';
import { fiddlerError } from '../support/errors.js';

const context = { max_position_embeddings: 131072 };
const head = { headSize: 64, base: 1e4 };
const scaled = (rope_scaling: Record<string, unknown>, more = {}) =>
  readRotation({ ...context, ...more, rope_scaling }, head);
const refused = (rope_scaling: Record<string, unknown>) => fiddlerError('unsupported', () => scaled(rope_scaling));

describe('the base', () => {
  it('is rope_theta, of rope_parameters or beside it, or the default', () => {
    expect(readRotation(context, head)).toEqual({ dimensions: 64, interleaved: false, base: 1e4, magnitude: 1 });
    expect(readRotation({ ...context, rope_theta: 5e5, rope_scaling: null }, head).base).toBe(5e5);
    const rope_parameters = { rope_type: 'default', rope_theta: 1e6 };
    expect(readRotation({ ...context, rope_theta: 5e5, rope_parameters }, head).base).toBe(1e6);
  });
});

describe('a part of the head', () => {
  it('is rotated where the config says so, rope_parameters first', () => {
    expect(readRotation({ ...context, partial_rotary_factor: 0.5 }, head).dimensions).toBe(32);
    const rope_parameters = { rope_type: 'default', partial_rotary_factor: 0.25 };
    expect(readRotation({ ...context, partial_rotary_factor: 0.5, rope_parameters }, head).dimensions).toBe(16);
  });

  it('must be even', () => {
    const odd = () => readRotation({ ...context, partial_rotary_factor: 0.08 }, head);
    expect(fiddlerError('unsupported', odd)).toContain('partial_rotary_factor');
  });

  it('is of a head that is no larger than any model has', () => {
    const rope_scaling = { rope_type: 'yarn', factor: 4 };
    const large = () => readRotation({ ...context, rope_scaling }, { ...head, headSize: 2 ** 30 });
    expect(fiddlerError('unsupported', large)).toContain('the size of a head is 1073741824');
  });
});

describe('linear scaling', () => {
  it('divides every frequency', () => {
    expect(scaled({ type: 'linear', factor: 4 }).divisors).toEqual(new Float32Array(32).fill(4));
  });
});

describe('YaRN', () => {
  const gptOss = { rope_type: 'yarn', factor: 32, beta_fast: 32, beta_slow: 1, original_max_position_embeddings: 4096 };

  it('keeps fast pairs, divides slow ones, and goes from one to the other in a ramp', () => {
    const { divisors, magnitude } = scaled(gptOss);
    // 64 · ln(4096 / (32 · 2π)) / (2 ln 1e4) = 10.47; with 1 instead of 32: 22.52. Truncated: 10 and 23.
    expect([...divisors!.slice(0, 11)]).toEqual(new Array(11).fill(1));
    expect([...divisors!.slice(23)]).toEqual(new Array(9).fill(32));
    expect(divisors![12]).toBeCloseTo(1 / (2 / 13 / 32 + 11 / 13), 6);
    expect(magnitude).toBeCloseTo(0.1 * Math.log(32) + 1, 12);
  });

  it('does not round the ramp where truncate is false', () => {
    const at = (turns: number) => (64 * Math.log(4096 / (turns * 2 * Math.PI))) / (2 * Math.log(1e4));
    const share = (12 - at(32)) / (at(1) - at(32));
    expect(scaled({ ...gptOss, truncate: false }).divisors![12]).toBeCloseTo(1 / (share / 32 + 1 - share), 6);
  });

  it('takes its magnitude from attention_factor, or from mscale and mscale_all_dim', () => {
    expect(scaled({ ...gptOss, attention_factor: 1.5 }).magnitude).toBe(1.5);
    expect(scaled({ ...gptOss, mscale: 0.7, mscale_all_dim: 0.7 }).magnitude).toBe(1);
    const ratio = yarnMagnitude(32, 1) / yarnMagnitude(32, 0.5);
    expect(scaled({ ...gptOss, mscale: 1, mscale_all_dim: 0.5 }).magnitude).toBe(ratio);
    expect(yarnMagnitude(0.5)).toBe(1);
  });
});

describe('LongRoPE', () => {
  const factors = { short_factor: new Array(32).fill(1.5), long_factor: new Array(32).fill(3) };
  const longRope = { type: 'longrope', ...factors, original_max_position_embeddings: 4096 };

  it('has a second set for sequences beyond the original context', () => {
    const magnitude = Math.sqrt(1 + Math.log(32) / Math.log(4096));
    const { divisors, extended, ...rest } = scaled(longRope);
    expect(divisors).toEqual(new Float32Array(32).fill(1.5));
    expect(rest.magnitude).toBeCloseTo(magnitude, 12);
    expect(extended!.beyond).toBe(4096);
    expect(extended!.divisors).toEqual(new Float32Array(32).fill(3));
    expect(extended!.magnitude).toBeCloseTo(magnitude, 12);
  });

  it('takes magnitudes from the config', () => {
    const own = scaled({ ...longRope, short_mscale: 1.1, long_mscale: 1.2 });
    expect([own.magnitude, own.extended!.magnitude]).toEqual([1.1, 1.2]);
  });

  it('has but the first set where the config is one of rope_parameters', () => {
    const rotation = readRotation({ ...context, rope_parameters: { rope_type: 'longrope', ...longRope } }, head);
    expect(rotation.divisors).toEqual(new Float32Array(32).fill(1.5));
    expect(rotation.extended).toBeUndefined();
  });

  it('needs a factor for every pair, and the original context', () => {
    expect(refused({ ...longRope, long_factor: [1, 2] })).toContain('rope_scaling.long_factor');
    expect(refused({ type: 'longrope', ...factors })).toContain('original_max_position_embeddings');
    const beside = scaled({ type: 'longrope', ...factors }, { original_max_position_embeddings: 8192 });
    expect(beside.extended!.beyond).toBe(8192);
  });
});

describe('what is not known', () => {
  it('is refused by name', () => {
    expect(refused({ type: 'dynamic', factor: 2 })).toContain('rope_scaling.rope_type is "dynamic"');
    expect(refused({ type: 'toString' })).toContain('rope_scaling.rope_type');
    expect(refused({ rope_type: 'yarn', factor: 4, attention_scaling: 2 })).toContain('rope_scaling.attention_scaling');
    const perLayer = { full_attention: { rope_type: 'default', rope_theta: 1e4 } };
    const nested = () => readRotation({ ...context, rope_parameters: perLayer }, head);
    expect(fiddlerError('unsupported', nested)).toContain('rope_parameters.full_attention');
  });

  it('is an error of the file where a number is missing', () => {
    expect(fiddlerError('file', () => scaled({ type: 'linear' }))).toContain('rope_scaling.factor');
  });
});
