import type { Pointer } from '../../native/ggml/api.js';
import { view } from '../../native/os/memory.js';
import type { Rows } from './rows.js';

/** Where element [i, j, k] lies: at offset + i · strides[0] + j · strides[1] + k · strides[2], in elements. */
export interface Layout {
  shape: readonly [number, number, number];
  offset: number;
  strides: readonly [number, number, number];
}

/** Numbers of two or four bytes that are put in the order [i, j, k]; a row is all k of one i and j. */
export interface Gathering extends Rows {
  from: Pointer;
  /** Of all numbers that are there. */
  bytes: number;
  width: 2 | 4;
  layout: Layout;
}

/** Rows and columns of a tile that fits the first cache, read and written. */
const TILE = 32;

/** Writes rows [begin, end). */
export function gather(gathering: Gathering, target: Pointer, begin: number, end: number): void {
  const { width, rowBytes, layout } = gathering;
  const { shape, offset, strides } = layout;
  const [, rows, columns] = shape;
  const [perGroup, perRow, perColumn] = strides;
  const numbers = width === 4 ? Uint32Array : Uint16Array;
  const from = new numbers(view(gathering.from, gathering.bytes));
  const to = new numbers(view(target + BigInt(begin * rowBytes), (end - begin) * rowBytes));
  for (let top = begin, next = 0; top < end; top = next) {
    const [group, row] = [Math.floor(top / rows), top % rows];
    next = Math.min(end, top + TILE, top - row + rows); // a tile lies in one group
    const origin = offset + group * perGroup + row * perRow;
    for (let left = 0; left < columns; left += TILE) {
      for (let r = 0; r < next - top; r++) {
        let at = origin + r * perRow + left * perColumn;
        const out = (top - begin + r) * columns;
        for (let c = left; c < Math.min(columns, left + TILE); c++, at += perColumn) to[out + c] = from[at]!;
      }
    }
  }
}
