import { writeFileSync } from 'node:fs';

/** A tensor to write; `data` may contradict the rest, for files that must be refused. */
export interface TensorToWrite {
  name: string;
  dtype: string;
  shape: readonly number[];
  data: Uint8Array;
}

export interface WriteOptions {
  /** Becomes the header's `__metadata__`. */
  metadata?: Record<string, string>;
  /** Changes the header before it is written, to make files that must be refused. */
  editHeader?: (header: Record<string, unknown>) => unknown;
}

/** Writes a safetensors file, tensors in the order given, the header padded with spaces to a multiple of 8 bytes. */
export function writeSafetensors(path: string, tensors: readonly TensorToWrite[], options: WriteOptions = {}): void {
  const entries: [string, unknown][] = options.metadata ? [['__metadata__', options.metadata]] : [];
  let offset = 0;
  for (const { name, dtype, shape, data } of tensors) {
    entries.push([name, { dtype, shape, data_offsets: [offset, offset + data.length] }]);
    offset += data.length;
  }
  const header = Object.fromEntries(entries);
  const text = JSON.stringify(options.editHeader ? options.editHeader(header) : header);
  writeFileSync(path, safetensorsBytes(text, Buffer.concat(tensors.map(({ data }) => data))));
}

/** A safetensors file of whatever header, as bytes. */
export function safetensorsBytes(header: string | Uint8Array, data: Uint8Array): Buffer {
  const text = typeof header === 'string' ? Buffer.from(header) : header;
  const padded = Buffer.concat([text, Buffer.alloc((8 - (text.length % 8)) % 8, ' ')]);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  return Buffer.concat([length, padded, data]);
}
