import { FiddlerError } from '../errors.js';
import { type Mapping, view } from '../native/os/memory.js';
import { STORED_BYTES, type StoredTensor } from './checkpoint.js';
import { quote, type UnsupportedTensor } from './mapped.js';

/** The reference implementation's limit on a header, in bytes (safetensors/src/tensor.rs, MAX_HEADER_SIZE). */
const LONGEST_HEADER = 100_000_000;
/** Bytes of the header's length before the header: u64, little-endian. */
const LENGTH_BYTES = 8;

/** One entry of a header, its fields checked one by one but not yet against the other entries. */
interface Entry {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Offsets of the first byte and the one after the last, from the header's end. */
  readonly begin: number;
  readonly end: number;
}

/**
 * The tensors of one mapped safetensors file. Unlike the reference, bytes that belong to no tensor are accepted.
 * @throws FiddlerError `file`: whatever field is wrong, with the tensor's name
 */
export function readHeader(mapping: Mapping): (StoredTensor | UnsupportedTensor)[] {
  const { file, address, bytes } = mapping;
  const dataBegin = headerEnd(file, bytes, new Uint8Array(view(address, Math.min(LENGTH_BYTES, bytes))));
  const header = parseHeader(file, view(address + BigInt(LENGTH_BYTES), dataBegin - LENGTH_BYTES));
  const entries = Object.entries(header)
    .filter(([name]) => name !== '__metadata__')
    .map(([name, value]) => checkEntry(file, name, value, bytes - dataBegin));
  checkOverlaps(file, entries);
  return entries.map(({ name, dtype, shape, begin, end }) =>
    isSupported(dtype)
      ? { name, dtype, shape, address: address + BigInt(dataBegin + begin), bytes: end - begin, file }
      : { name, dtype, file },
  );
}

/**
 * Offset of the first byte behind the header.
 * @param bytes of the whole file
 * @param start the file's first eight bytes at least, unless it has fewer
 * @throws FiddlerError `file`: too short or too long to be the length of a header
 */
export function headerEnd(file: string, bytes: number, start: Uint8Array): number {
  if (bytes < LENGTH_BYTES) throw broken(file, `it has ${bytes} bytes, too few for a header`);
  const head = Buffer.from(start.subarray(0, LENGTH_BYTES));
  if (head.toString('latin1') === 'version ') {
    throw new FiddlerError('file', `${file} is a Git LFS pointer, not the weights`, 'run `git lfs pull` in its folder');
  }
  const length = head.readBigUInt64LE();
  if (length > BigInt(bytes - LENGTH_BYTES)) {
    throw broken(file, `its header should have ${length} bytes, but the file ends after ${bytes}`);
  }
  if (length > BigInt(LONGEST_HEADER)) {
    throw broken(file, `its header has ${length} bytes, more than the ${LONGEST_HEADER} the format allows`);
  }
  return LENGTH_BYTES + Number(length);
}

function parseHeader(file: string, bytes: ArrayBuffer): object {
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw broken(file, 'its header is not JSON', error);
  }
  if (!isObject(header)) throw broken(file, 'its header is not a JSON object');
  return header;
}

function checkEntry(file: string, name: string, value: unknown, dataBytes: number): Entry {
  const fail = (problem: string) => broken(file, `tensor ${quote(name)} ${problem}`);
  if (!isObject(value)) throw fail('is not described by an object');
  const { dtype, shape, data_offsets: offsets } = value as Record<string, unknown>;
  if (typeof dtype !== 'string') throw fail('has no dtype');
  if (!isSizes(shape)) throw fail('has no shape of whole numbers');
  if (!isSizes(offsets) || offsets.length !== 2) throw fail('has no data_offsets of two whole numbers');
  const [begin, end] = offsets as [number, number];
  if (begin > end) throw fail(`ends at byte ${end}, before its beginning at ${begin}`);
  if (end > dataBytes) throw fail(`ends at byte ${end} of the data, but the file has only ${dataBytes} there`);
  if (isSupported(dtype)) {
    if (shapeBytes(shape, STORED_BYTES[dtype]) !== end - begin) {
      throw fail(`of shape [${shape.slice(0, 8)}] and type ${dtype} does not fill its ${end - begin} bytes`);
    }
  }
  return { name, dtype, shape, begin, end };
}

/** product(shape) × elementBytes, or NaN where a partial product is no safe integer (checked_mul in the reference). */
function shapeBytes(shape: readonly number[], elementBytes: number): number {
  return [...shape, elementBytes].reduce((product, size) => {
    const next = product * size;
    return Number.isSafeInteger(next) ? next : Number.NaN;
  }, 1);
}

function checkOverlaps(file: string, entries: readonly Entry[]): void {
  const sorted = [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end);
  for (const [i, entry] of sorted.entries()) {
    const previous = sorted[i - 1];
    if (previous && entry.begin < previous.end) {
      throw broken(file, `tensors ${quote(previous.name)} and ${quote(entry.name)} overlap`);
    }
  }
}

const isSupported = (dtype: string): dtype is keyof typeof STORED_BYTES => Object.hasOwn(STORED_BYTES, dtype);

const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isSizes = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);

function broken(file: string, problem: string, cause?: unknown): FiddlerError {
  const remedy = 'the file is damaged or incomplete; download it again';
  return new FiddlerError('file', `${file}: ${problem}`, remedy, { cause });
}
