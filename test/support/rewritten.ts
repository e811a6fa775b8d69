import { readFileSync } from 'node:fs';
import { type GgufTensorToWrite, type GgufToWrite, writeGguf } from '../../bench/gguf-writer.js';
import { Type } from '../../src/native/ggml/tensor.js';
import { readHeader } from '../../src/weights/gguf/header.js';

/** Bytes before the metadata: magic number, version, and the counts of tensors and keys. */
const PREFIX = 24;

/** The keys and tensors of a GGUF file, to be written again. */
export function readGguf(path: string): GgufToWrite & { keys: { bytes: Buffer }; tensors: GgufTensorToWrite[] } {
  const file = readFileSync(path);
  const { tensors } = readHeader(path, file, file.length)!;
  const [first] = tensors;
  const end = file.indexOf(first!.name) - 8; // the length of the name is in front of it
  return {
    keys: { count: Number(file.readBigUInt64LE(16)), bytes: file.subarray(PREFIX, end) },
    tensors: tensors.map(({ name, shape, dtype, offset, bytes }) => ({
      name,
      type: Type[dtype!],
      ne: [...shape].reverse(),
      data: file.subarray(offset, offset + bytes),
    })),
  };
}

/** Sets a number of four bytes among a file's keys. */
export function setNumber(keys: Buffer, name: string, value: number): void {
  keys.writeUInt32LE(value, keys.indexOf(name) + name.length + 4);
}

/** Makes a key one that nobody knows. */
export function hideKey(keys: Buffer, name: string): void {
  keys.fill('x', keys.indexOf(name), keys.indexOf(name) + name.length);
}

export function rewrite(from: string, to: string, change: (file: ReturnType<typeof readGguf>) => GgufToWrite): void {
  writeGguf(to, change(readGguf(from)));
}
