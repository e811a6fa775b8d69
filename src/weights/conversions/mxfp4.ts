import type { Pointer } from '../../native/ggml/api.js';
import { view } from '../../native/os/memory.js';
import type { Rows } from './rows.js';

/** Elements that share a scale, and the bytes they take (OCP Microscaling Formats 1.0). */
export const BLOCK = 32;
export const PACKED = BLOCK / 2;

/** A matrix of MXFP4 numbers whose blocks and scales lie apart, of which some rows become ggml's block_mxfp4. */
export interface Mxfp4Matrix extends Rows {
  /** Blocks of a row. */
  groups: number;
  blocks: Pointer;
  scales: Pointer;
  /** Row i of the result is row first + i · step of the matrix. */
  first: number;
  step: number;
}

/** Writes rows [begin, end): a block's scale, then number i in the low and number i + 16 in the high half of byte i. */
export function repackMxfp4(matrix: Mxfp4Matrix, target: Pointer, begin: number, end: number): void {
  const { groups, rowBytes, step } = matrix;
  const first = matrix.first + begin * step;
  const count = ((end - begin - 1) * step + 1) * groups; // blocks from the first row to the last
  const from = new Uint8Array(view(matrix.blocks + BigInt(first * groups * PACKED), count * PACKED));
  const scales = new Uint8Array(view(matrix.scales + BigInt(first * groups), count));
  const to = new Uint8Array(view(target + BigInt(begin * rowBytes), (end - begin) * rowBytes));
  for (let r = 0; r < end - begin; r++) repackRow(from, scales, r * step * groups, groups, to, r * rowBytes);
}

function repackRow(
  from: Uint8Array,
  scales: Uint8Array,
  first: number,
  groups: number,
  to: Uint8Array,
  begin: number,
): void {
  let out = begin;
  for (let group = first; group < first + groups; group++) {
    to[out++] = scales[group]!;
    const low = group * PACKED;
    for (let i = low; i < low + PACKED / 2; i++) {
      const a = from[i]!;
      const b = from[i + PACKED / 2]!;
      to[out++] = (a & 15) | ((b & 15) << 4);
      to[out++] = (a >> 4) | (b & 0xf0);
    }
  }
}
