import { FiddlerError } from '../../errors.js';
import { quote } from '../mapped.js';
import { broken, type Cursor, decode } from './cursor.js';

/** The longest string that is read, in bytes: chat templates have some 10⁵. */
const LONGEST_STRING = 2 ** 24;
/** Bytes of the longest key (the format's limit). */
const LONGEST_KEY = 2 ** 16 - 1;
/** More keys than any file has. */
const MOST_KEYS = 2 ** 16;

/** Value types by their number in the file, and the bytes of those of one size (gguf.h, gguf_type). */
const KINDS = ['u8', 'i8', 'u16', 'i16', 'u32', 'i32', 'f32', 'bool', 'string', 'array', 'u64', 'i64', 'f64'] as const;
type Kind = (typeof KINDS)[number];
type Scalar = Exclude<Kind, 'string' | 'array'>;
const BYTES: Readonly<Record<Scalar, number>> = {
  u8: 1,
  i8: 1,
  u16: 2,
  i16: 2,
  u32: 4,
  i32: 4,
  f32: 4,
  bool: 1,
  u64: 8,
  i64: 8,
  f64: 8,
};

const NUMERIC = KINDS.filter((kind) => kind !== 'string' && kind !== 'array' && kind !== 'bool');
const WHOLE = NUMERIC.filter((kind) => kind !== 'f32' && kind !== 'f64');

/** Values of one kind, decoded when they are asked for: vocabularies have 10⁵ strings. */
class Values {
  constructor(
    readonly kind: Exclude<Kind, 'array'>,
    readonly length: number,
    private readonly bytes: Uint8Array,
  ) {}

  strings(): string[] {
    const fields = new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.byteLength);
    const found: string[] = [];
    for (let at = 0; at < this.bytes.length; ) {
      const end = at + 8 + Number(fields.getBigUint64(at, true));
      found.push(decode(this.bytes.subarray(at + 8, end)));
      at = end;
    }
    return found;
  }

  scalars(): (number | boolean)[] {
    const { kind, bytes } = this;
    const fields = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const size = BYTES[kind as Scalar];
    return Array.from({ length: this.length }, (_, i) => readScalar[kind as Scalar](fields, i * size));
  }

  /** Whole numbers, of which those of 64 bits may be beyond 2⁵³. */
  bigIntegers(): bigint[] {
    const { kind, bytes } = this;
    const fields = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const read = { u64: fields.getBigUint64, i64: fields.getBigInt64 }[kind as string]?.bind(fields);
    if (!read) return this.scalars().map(BigInt);
    return Array.from({ length: this.length }, (_, i) => read(8 * i, true));
  }
}

const readScalar: Readonly<Record<Scalar, (fields: DataView, at: number) => number | boolean>> = {
  u8: (f, at) => f.getUint8(at),
  i8: (f, at) => f.getInt8(at),
  u16: (f, at) => f.getUint16(at, true),
  i16: (f, at) => f.getInt16(at, true),
  u32: (f, at) => f.getUint32(at, true),
  i32: (f, at) => f.getInt32(at, true),
  f32: (f, at) => f.getFloat32(at, true),
  bool: (f, at) => f.getUint8(at) !== 0,
  u64: (f, at) => Number(f.getBigUint64(at, true)),
  i64: (f, at) => Number(f.getBigInt64(at, true)),
  f64: (f, at) => f.getFloat64(at, true),
};

type Value = number | boolean | string | Values;

/**
 * The keys and values of a GGUF file. A key that is missing is undefined; one of another type than is asked for throws
 * FiddlerError `file`, naming it.
 */
export class Metadata {
  constructor(
    /** For error messages. */
    readonly file: string,
    private readonly values: ReadonlyMap<string, Value>,
  ) {}

  has(key: string): boolean {
    return this.values.has(key);
  }

  /** The model's, or of a later shard; most of these have none. */
  get architecture(): string | undefined {
    return this.string('general.architecture');
  }

  get keys(): Iterable<string> {
    return this.values.keys();
  }

  /** A whole number; those beyond 2⁵³ are refused. */
  integer(key: string): number | undefined {
    return this.checked(key, 'a whole number', (value) => Number.isSafeInteger(value)) as number | undefined;
  }

  number(key: string): number | undefined {
    return this.checked(key, 'a number', Number.isFinite) as number | undefined;
  }

  flag(key: string): boolean | undefined {
    return this.checked(key, 'true or false', (value) => typeof value === 'boolean') as boolean | undefined;
  }

  string(key: string): string | undefined {
    return this.checked(key, 'a string', (value) => typeof value === 'string') as string | undefined;
  }

  strings(key: string): string[] | undefined {
    const value = this.checked(key, 'a list of strings', (v) => v instanceof Values && isOf(v, 'string'));
    return (value as Values | undefined)?.strings();
  }

  /** A list of numbers; `integers` refuses those that are not whole. */
  numbers(key: string): number[] | undefined {
    const value = this.checked(key, 'a list of numbers', (v) => v instanceof Values && isOf(v, ...NUMERIC));
    return (value as Values | undefined)?.scalars() as number[] | undefined;
  }

  integers(key: string): number[] | undefined {
    const numbers = this.numbers(key);
    if (numbers && !numbers.every(Number.isSafeInteger)) this.refuse(key, 'a list of whole numbers');
    return numbers;
  }

  /** As `integers`, of any size. */
  bigIntegers(key: string): bigint[] | undefined {
    const value = this.checked(key, 'a list of whole numbers', (v) => v instanceof Values && isOf(v, ...WHOLE));
    return (value as Values | undefined)?.bigIntegers();
  }

  /** A list of true or false, which some converters write as 1 and 0. */
  flags(key: string): boolean[] | undefined {
    const wanted = 'a list of true or false';
    const value = this.checked(key, wanted, (v) => v instanceof Values && isOf(v, 'bool', ...NUMERIC));
    const found = (value as Values | undefined)?.scalars().map(Number);
    if (found && !found.every((n) => n === 0 || n === 1)) this.refuse(key, wanted);
    return found?.map((n) => n === 1);
  }

  /** How many values a list has. */
  count(key: string): number | undefined {
    return (this.checked(key, 'a list', (v) => v instanceof Values) as Values | undefined)?.length;
  }

  /** Whether the value is a list: several keys may have one number, or one for each layer. */
  isList(key: string): boolean {
    return this.values.get(key) instanceof Values;
  }

  private checked(key: string, wanted: string, fits: (value: Value) => boolean): Value | undefined {
    const value = this.values.get(key);
    if (value !== undefined && !fits(value)) this.refuse(key, wanted);
    return value;
  }

  private refuse(key: string, wanted: string): never {
    throw broken(this.file, `metadata ${quote(key)} is not ${wanted}`);
  }
}

/** An empty list may be of any kind. */
function isOf(values: Values, ...kinds: Kind[]): boolean {
  return values.length === 0 || kinds.includes(values.kind);
}

/** Reads `count` keys and their values. @throws FiddlerError `file`: whatever does not fit, with the key */
export function readMetadata(cursor: Cursor, count: number): Metadata {
  const { file } = cursor;
  if (count > MOST_KEYS) throw broken(file, `it has ${count} metadata keys, more than ${MOST_KEYS}`);
  const values = new Map<string, Value>();
  for (let i = 0; i < count; i++) {
    const key = cursor.string(`metadata key ${i}`, LONGEST_KEY);
    if (values.has(key)) throw broken(file, `metadata ${quote(key)} is there twice`);
    values.set(key, readValue(cursor, key));
  }
  return new Metadata(file, values);
}

function readValue(cursor: Cursor, key: string): Value {
  const what = `metadata ${quote(key)}`;
  const kind = readKind(cursor, what);
  if (kind === 'string') return cursor.string(what, LONGEST_STRING);
  if (kind === 'array') return readValues(cursor, what);
  if (kind === 'u64' || kind === 'i64') return Number(cursor[kind](what));
  if (kind !== 'bool') return cursor[kind](what);
  return isTrue(cursor, what);
}

function readKind(cursor: Cursor, what: string): Kind {
  const number = cursor.u32(what);
  const kind = KINDS[number];
  if (kind === undefined) throw broken(cursor.file, `${what} has type ${number}, which there is not`);
  return kind;
}

function isTrue(cursor: Cursor, what: string): boolean {
  const value = cursor.u8(what);
  if (value > 1) throw broken(cursor.file, `${what} is ${value} instead of true or false`);
  return value === 1;
}

function readValues(cursor: Cursor, what: string): Values {
  const kind = readKind(cursor, what);
  if (kind === 'array') {
    throw new FiddlerError(
      'unsupported',
      `${cursor.file}: ${what} is a list of lists`,
      'use another file of this model',
    );
  }
  const least = kind === 'string' ? 8 : BYTES[kind]; // an empty string is its length alone
  const length = cursor.size64(`the length of ${what}`, Math.floor((cursor.left - 8) / least));
  const from = cursor.at;
  if (kind !== 'string') cursor.skip(length * least, what);
  else for (let i = 0; i < length; i++) cursor.text(`${what}, string ${i}`, LONGEST_STRING);
  const values = new Values(kind, length, cursor.copy(from, cursor.at));
  return values;
}
