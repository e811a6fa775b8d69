import { blockElements, rowBytes, Type } from '../../native/ggml/tensor.js';
import type { DType } from '../checkpoint.js';

/** A tensor that will be written. */
export interface GgufEntry {
  name: string;
  dtype: DType;
  /** Outermost dimension first. */
  shape: readonly number[];
}

/** A tensor's place in the file, in bytes. */
export interface GgufPlace extends GgufEntry {
  offset: number;
  bytes: number;
}

/** Tensors begin at pages, so that what was read of one can be let go without the next. */
const ALIGNMENT = 4096;
const VERSION = 3;
/** Value types (gguf.h, gguf_type). */
const [U32, STRING] = [4, 8];

/**
 * The header of a GGUF file (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md), and where its tensors go.
 * @param strings the metadata
 */
export function ggufHeader(
  strings: Readonly<Record<string, string>>,
  entries: readonly GgufEntry[],
): { head: Buffer; places: GgufPlace[]; bytes: number } {
  const keys = Object.entries(strings);
  const parts = [Buffer.from('GGUF'), u32(VERSION), u64(entries.length), u64(keys.length + 1)];
  parts.push(text('general.alignment'), u32(U32), u32(ALIGNMENT));
  for (const [key, value] of keys) parts.push(text(key), u32(STRING), text(value));
  let at = 0;
  const placed = entries.map((entry) => {
    const { name, dtype, shape } = entry;
    parts.push(text(name), u32(shape.length), ...[...shape].reverse().map(u64), u32(Type[dtype]), u64(at));
    const bytes = bytesOf(entry);
    const place = { ...entry, offset: at, bytes };
    at = aligned(at + bytes);
    return place;
  });
  const head = Buffer.concat(parts);
  const data = aligned(head.length);
  const places = placed.map((place) => ({ ...place, offset: data + place.offset }));
  const last = places.at(-1);
  return { head, places, bytes: last ? last.offset + last.bytes : data };
}

function bytesOf({ dtype, shape }: GgufEntry): number {
  const type = Type[dtype];
  if (shape.at(-1)! % blockElements(type) !== 0) throw new RangeError('a row ends within a block');
  return rowBytes(
    type,
    shape.reduce((a, b) => a * b, 1),
  );
}

const aligned = (bytes: number) => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([u64(bytes.length), bytes]);
}
