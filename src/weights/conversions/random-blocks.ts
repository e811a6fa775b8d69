import type { TypeName } from '../../native/ggml/tensor.js';

/** Bytes of a block that random ones would make too large or no numbers: little-endian, at their offset. */
type Fixed = readonly (readonly [offset: number, ...bytes: number[]])[];

/** A half-precision number 2^exponent, exponent from −14 on. */
const half = (exponent: number) => [0, (15 + exponent) << 2] as const;
/** 2⁻¹⁶, which is subnormal. */
const TINY = [0, 1] as const;

/** What of each type's blocks (ggml-common.h) is fixed, so that numbers of random bits deviate by about 0.02. */
export const FIXED: { readonly [T in TypeName]?: Fixed } = {
  Q4_0: [[0, ...half(-8)]],
  Q4_1: [[0, ...half(-8), 0, 0xa8]],
  Q5_0: [[0, ...half(-9)]],
  Q5_1: [[0, ...half(-9), 0, 0xa8]],
  Q8_0: [[0, ...half(-12)]],
  Q2_K: [[80, ...half(-9), 0, 0x1a]],
  Q3_K: [[108, ...half(-11)]],
  Q4_K: [[0, ...half(-13), ...half(-10)]],
  Q5_K: [[0, ...half(-14), ...half(-10)]],
  Q6_K: [[208, ...TINY]],
  IQ1_S: [[0, ...half(-9)]],
  // Four bits of the scale lie in the upper half of every other byte.
  IQ1_M: [
    [49, 0x05],
    [51, 0x05],
    [53, 0x85],
    [55, 0x15],
  ],
  IQ2_XXS: [[0, ...half(-11)]],
  IQ2_XS: [[0, ...half(-11)]],
  IQ2_S: [[0, ...half(-11)]],
  IQ3_XXS: [[0, ...half(-12)]],
  IQ3_S: [[0, ...half(-13)]],
  IQ4_NL: [[0, ...half(-12)]],
  IQ4_XS: [[0, ...TINY]],
  TQ1_0: [[52, ...half(-5)]],
  TQ2_0: [[64, ...half(-5)]],
  MXFP4: [[0, 120]],
  NVFP4: [[0, 8, 8, 8, 8]],
  Q1_0: [[0, ...half(-6)]],
  Q2_0: [[0, ...half(-7)]],
};
