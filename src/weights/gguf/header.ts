import { FiddlerError } from '../../errors.js';
import type { TypeName } from '../../native/ggml/tensor.js';
import { blockBytes, blockElements, Type } from '../../native/ggml/tensor.js';
import type { StoredDType } from '../checkpoint.js';
import { quote } from '../mapped.js';
import { broken, Cursor, HeaderGoesOn } from './cursor.js';
import { type Metadata, readMetadata } from './metadata.js';
import { foreignName, storedType } from './types.js';

/** "GGUF", little-endian. */
const MAGIC = 0x46554747;
const VERSIONS = [2, 3];
/** More tensors than any file has; with one for each expert the largest have some 10⁵. */
const MOST_TENSORS = 2 ** 18;
const LONGEST_NAME = 1024;
const MOST_DIMENSIONS = 4;
const ALIGNMENT_KEY = 'general.alignment';
const DEFAULT_ALIGNMENT = 32;
const LARGEST_ALIGNMENT = 2 ** 20;
/** Bytes of the longest header that is read: vocabularies of 262,144 tokens with their merges take some 2 · 10⁷. */
export const LONGEST_HEADER = 2 ** 28;

/** One tensor as a header describes it. */
export interface GgufTensor {
  readonly name: string;
  /** Outermost dimension first. */
  readonly shape: readonly number[];
  /** Undefined where this engine does not compute with the type. */
  readonly dtype: (StoredDType & TypeName) | undefined;
  /** Name of the type for messages. */
  readonly typeName: string;
  /** Offset of the first byte in the file. */
  readonly offset: number;
  /** 0 where the type is not known. */
  readonly bytes: number;
}

export interface GgufHeader {
  readonly metadata: Metadata;
  readonly tensors: readonly GgufTensor[];
}

/**
 * Reads the header of a GGUF file (version 2 or 3, little-endian) from its first bytes. Format:
 * https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 * @param size bytes of the whole file, by which every claim is checked
 * @returns undefined where the header goes on behind `head`
 * @throws FiddlerError `file`: whatever field is wrong, by name; `unsupported`: another version or byte order
 */
export function readHeader(file: string, head: Uint8Array, size: number): GgufHeader | undefined {
  try {
    return readWhole(new Cursor(file, head, size));
  } catch (error) {
    if (!(error instanceof HeaderGoesOn)) throw error;
    if (head.length < LONGEST_HEADER) return undefined;
    throw broken(file, `its header has more than ${LONGEST_HEADER} bytes`);
  }
}

function readWhole(cursor: Cursor): GgufHeader {
  const { file } = cursor;
  checkStart(cursor);
  const tensorCount = cursor.size64('the number of tensors', MOST_TENSORS);
  const keyCount = cursor.size64('the number of metadata keys', Number.MAX_SAFE_INTEGER);
  const metadata = readMetadata(cursor, keyCount);
  const entries = Array.from({ length: tensorCount }, (_, i) => readTensor(cursor, i));
  const data = Math.ceil(cursor.at / alignmentOf(metadata)) * alignmentOf(metadata);
  const names = new Set<string>();
  for (const tensor of entries) {
    const { name, offset, bytes } = tensor;
    if (names.has(name)) throw broken(file, `tensor ${quote(name)} is there twice`);
    names.add(name);
    if (offset % alignmentOf(metadata) !== 0) {
      throw broken(file, `tensor ${quote(name)} begins at ${offset}, no multiple of ${alignmentOf(metadata)}`);
    }
    const end = data + offset + bytes;
    if (end > cursor.size) {
      throw broken(file, `tensor ${quote(name)} ends at byte ${end}, but the file at ${cursor.size}`);
    }
  }
  checkOverlaps(file, entries);
  return { metadata, tensors: entries.map((tensor) => ({ ...tensor, offset: data + tensor.offset })) };
}

function checkStart(cursor: Cursor): void {
  const { file } = cursor;
  const magic = cursor.u32('its first bytes');
  if (magic === 0x73726576) {
    throw new FiddlerError('file', `${file} is a Git LFS pointer, not the weights`, 'run `git lfs pull` in its folder');
  }
  if (magic !== MAGIC) throw broken(file, 'it does not begin with GGUF');
  const version = cursor.u32('its version');
  if (VERSIONS.includes(version)) return;
  const foreign = version !== 0 && (version & 0xffff) === 0;
  const problem = foreign ? 'is of a big-endian machine' : `has version ${version}, but only 2 and 3 are read`;
  throw new FiddlerError('unsupported', `${file} ${problem}`, 'convert the model again, or use another file of it');
}

/** @throws FiddlerError `file`: not a power of two, or absurd */
function alignmentOf(metadata: Metadata): number {
  const alignment = metadata.integer(ALIGNMENT_KEY) ?? DEFAULT_ALIGNMENT;
  const fits = alignment >= 1 && alignment <= LARGEST_ALIGNMENT && Number.isInteger(Math.log2(alignment));
  if (!fits)
    throw broken(metadata.file, `${ALIGNMENT_KEY} is ${alignment}, no power of two up to ${LARGEST_ALIGNMENT}`);
  return alignment;
}

function readTensor(cursor: Cursor, i: number): GgufTensor {
  const { file } = cursor;
  const name = cursor.string(`the name of tensor ${i}`, LONGEST_NAME);
  const what = `tensor ${quote(name)}`;
  const dimensions = cursor.u32(what);
  if (dimensions < 1 || dimensions > MOST_DIMENSIONS) throw broken(file, `${what} has ${dimensions} dimensions`);
  const ne = Array.from({ length: dimensions }, () => cursor.size64(`a dimension of ${what}`, 2 ** 48));
  if (ne.includes(0)) throw broken(file, `${what} has a dimension of 0`);
  const number = cursor.u32(what);
  const offset = cursor.size64(`the offset of ${what}`, cursor.size);
  const dtype = storedType(number);
  const shape = [...ne].reverse();
  if (!dtype) return { name, shape, dtype, typeName: foreignName(number), offset, bytes: 0 };
  const block = blockElements(Type[dtype]);
  if (ne[0]! % block !== 0) {
    throw broken(file, `${what} has rows of ${ne[0]} numbers, no multiple of the ${block} in a block of ${dtype}`);
  }
  const bytes = ne.slice(1).reduce((product, n) => product * n, (ne[0]! / block) * blockBytes(Type[dtype]));
  // A product beyond 2⁵³ is not exact, but it is larger than any file.
  if (bytes > cursor.size) throw broken(file, `${what} would have ${bytes} bytes, but the file has ${cursor.size}`);
  return { name, shape, dtype, typeName: dtype, offset, bytes };
}

function checkOverlaps(file: string, tensors: readonly GgufTensor[]): void {
  const sorted = [...tensors].sort((a, b) => a.offset - b.offset || a.bytes - b.bytes);
  for (const [i, tensor] of sorted.entries()) {
    const previous = sorted[i - 1];
    if (previous && tensor.offset < previous.offset + previous.bytes) {
      throw broken(file, `tensors ${quote(previous.name)} and ${quote(tensor.name)} overlap`);
    }
  }
}
