import type { Pointer } from '../../native/ggml/api.js';
import { type Fp8Matrix, unpackFp8 } from './fp8.js';
import { type Gathering, gather } from './gather.js';
import { type Mxfp4Matrix, repackMxfp4 } from './mxfp4.js';
import { type E2m1Matrix, type Nvfp4Matrix, repackNvfp4, unpackE2m1 } from './nvfp4.js';
import { type Quantizing, quantizeBlocks } from './quantize.js';
import { makeNoise, type Noise } from './random.js';

/** How numbers are made, from those of a checkpoint or at random: plain data, for whichever thread makes them. */
export type Conversion =
  | ({ kind: 'fp8' } & Fp8Matrix)
  | ({ kind: 'mxfp4' } & Mxfp4Matrix)
  | ({ kind: 'nvfp4' } & Nvfp4Matrix)
  | ({ kind: 'e2m1' } & E2m1Matrix)
  | ({ kind: 'gather' } & Gathering)
  | ({ kind: 'quantize' } & Quantizing)
  | ({ kind: 'noise' } & Noise);

type Make<K> = (conversion: Extract<Conversion, { kind: K }>, target: Pointer, begin: number, end: number) => void;

const MAKE: { readonly [K in Conversion['kind']]: Make<K> } = {
  fp8: unpackFp8,
  mxfp4: repackMxfp4,
  nvfp4: repackNvfp4,
  e2m1: unpackE2m1,
  gather,
  quantize: quantizeBlocks,
  noise: makeNoise,
};

/** Writes rows [begin, end) of a conversion's result, which begins at `target`. */
export function convertRows(conversion: Conversion, target: Pointer, begin: number, end: number): void {
  (MAKE[conversion.kind] as Make<Conversion['kind']>)(conversion as never, target, begin, end);
}

/** Writes all rows of a conversion's result to `target`. */
export type Convert = (conversion: Conversion, target: Pointer) => void;

/** Converts on the calling thread alone. */
export const convertHere: Convert = (conversion, target) => convertRows(conversion, target, 0, conversion.rows);
