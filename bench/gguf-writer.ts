import { writeFileSync } from 'node:fs';

/** Value types by their numbers in the file. */
const KINDS = ['u8', 'i8', 'u16', 'i16', 'u32', 'i32', 'f32', 'bool', 'string', 'array', 'u64', 'i64', 'f64'] as const;
type Kind = (typeof KINDS)[number];

/** A value to write: of a list, the kind of its elements. */
export type GgufValue =
  | { kind: 'string'; value: string }
  | { kind: Exclude<Kind, 'string' | 'array'>; value: number }
  | { kind: 'array'; of: Exclude<Kind, 'array'>; value: readonly (number | bigint | string)[] };

/** A tensor to write: its type by ggml's number, ne in ggml's order; offsets follow from the data unless given. */
export interface GgufTensorToWrite {
  name: string;
  type: number;
  ne: readonly number[];
  data: Uint8Array;
  offset?: number;
}

export interface GgufToWrite {
  version?: number;
  metadata?: Readonly<Record<string, GgufValue>>;
  /** Further keys and values as another file has them. */
  keys?: { count: number; bytes: Uint8Array };
  tensors?: readonly GgufTensorToWrite[];
  alignment?: number;
}

/** A GGUF file as bytes; whatever contradicts the format is written as it is given. */
export function ggufBytes(content: GgufToWrite): Buffer {
  const { version = 3, metadata = {}, keys, tensors = [], alignment = 32 } = content;
  const entries = Object.entries(metadata);
  const head = [Buffer.from('GGUF'), u32(version), u64(tensors.length), u64(entries.length + (keys?.count ?? 0))];
  for (const [key, value] of entries) head.push(text(key), u32(KINDS.indexOf(value.kind)), valueBytes(value));
  if (keys) head.push(Buffer.from(keys.bytes));
  const data: Buffer[] = [];
  let at = 0;
  for (const { name, type, ne, data: bytes, offset } of tensors) {
    head.push(text(name), u32(ne.length), ...ne.map(u64), u32(type), u64(offset ?? at));
    data.push(padded(bytes, alignment));
    at += data.at(-1)!.length;
  }
  return Buffer.concat([padded(Buffer.concat(head), alignment), ...data]);
}

export function writeGguf(path: string, content: GgufToWrite): void {
  writeFileSync(path, ggufBytes(content));
}

function valueBytes(value: GgufValue): Buffer {
  if (value.kind === 'string') return text(value.value);
  if (value.kind !== 'array') return scalar(value.kind, value.value);
  const elements = value.value.map((v) =>
    value.of === 'string' ? text(v as string) : scalar(value.of as Scalar, v as number | bigint),
  );
  return Buffer.concat([u32(KINDS.indexOf(value.of)), u64(elements.length), ...elements]);
}

type Scalar = Exclude<Kind, 'string' | 'array'>;

/** Writes a number into the beginning of eight bytes, and the bytes it takes. */
const SCALARS: Readonly<Record<Scalar, readonly [write: (f: DataView, value: number) => void, bytes: number]>> = {
  u8: [(f, v) => f.setUint8(0, v), 1],
  i8: [(f, v) => f.setInt8(0, v), 1],
  bool: [(f, v) => f.setUint8(0, v), 1],
  u16: [(f, v) => f.setUint16(0, v, true), 2],
  i16: [(f, v) => f.setInt16(0, v, true), 2],
  u32: [(f, v) => f.setUint32(0, v, true), 4],
  i32: [(f, v) => f.setInt32(0, v, true), 4],
  f32: [(f, v) => f.setFloat32(0, v, true), 4],
  u64: [(f, v) => f.setBigUint64(0, BigInt(v), true), 8],
  i64: [(f, v) => f.setBigInt64(0, BigInt(v), true), 8],
  f64: [(f, v) => f.setFloat64(0, v, true), 8],
};

function scalar(kind: Scalar, value: number | bigint): Buffer {
  const bytes = Buffer.alloc(8);
  const [write, size] = SCALARS[kind];
  const field = new DataView(bytes.buffer, bytes.byteOffset);
  if (typeof value === 'bigint') field.setBigUint64(0, value, true);
  else write(field, value);
  return bytes.subarray(0, size);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([u64(bytes.length), bytes]);
}

const u32 = (value: number) => scalar('u32', value);
const u64 = (value: number) => scalar('u64', value);

function padded(bytes: Uint8Array, alignment: number): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((alignment - (bytes.length % alignment)) % alignment)]);
}
