import { FiddlerError } from '../../errors.js';

/** Thrown where what is there of a file ends before its header does. */
export class HeaderGoesOn extends Error {}

/** Reads little-endian fields one after the other; nothing is taken of them that the file cannot hold. */
export class Cursor {
  /** Offset of the next byte. */
  at = 0;
  private readonly fields: DataView;

  /**
   * @param head the file's first bytes
   * @param size bytes of the whole file
   */
  constructor(
    readonly file: string,
    private readonly head: Uint8Array,
    readonly size: number,
  ) {
    this.fields = new DataView(head.buffer, head.byteOffset, head.byteLength);
  }

  /** Bytes of the file behind the cursor. */
  get left(): number {
    return this.size - this.at;
  }

  /** Passes `bytes`; gives where they begin. @throws FiddlerError `file`, or HeaderGoesOn */
  skip(bytes: number, what: string): number {
    if (bytes > this.left) throw broken(this.file, `it ends within ${what}`);
    if (this.at + bytes > this.head.length) throw new HeaderGoesOn();
    this.at += bytes;
    return this.at - bytes;
  }

  u8 = (what: string): number => this.fields.getUint8(this.skip(1, what));
  i8 = (what: string): number => this.fields.getInt8(this.skip(1, what));
  u16 = (what: string): number => this.fields.getUint16(this.skip(2, what), true);
  i16 = (what: string): number => this.fields.getInt16(this.skip(2, what), true);
  u32 = (what: string): number => this.fields.getUint32(this.skip(4, what), true);
  i32 = (what: string): number => this.fields.getInt32(this.skip(4, what), true);
  f32 = (what: string): number => this.fields.getFloat32(this.skip(4, what), true);
  u64 = (what: string): bigint => this.fields.getBigUint64(this.skip(8, what), true);
  i64 = (what: string): bigint => this.fields.getBigInt64(this.skip(8, what), true);
  f64 = (what: string): number => this.fields.getFloat64(this.skip(8, what), true);

  /** A count, length or offset. @throws FiddlerError `file` where it is more than `most` */
  size64(what: string, most: number): number {
    const value = this.u64(what);
    if (value > BigInt(most)) throw broken(this.file, `${what} is ${value}, more than ${most}`);
    return Number(value);
  }

  /** Where a string's bytes lie, behind their number. */
  text(what: string, most: number): { from: number; to: number } {
    const length = this.size64(`the length of ${what}`, Math.min(most, this.left));
    const from = this.skip(length, what);
    return { from, to: from + length };
  }

  /** UTF-8; what is none becomes U+FFFD. */
  string(what: string, most: number): string {
    const { from, to } = this.text(what, most);
    return decode(this.head.subarray(from, to));
  }

  /** A copy of bytes that were passed. */
  copy(from: number, to: number): Uint8Array {
    return this.head.slice(from, to);
  }
}

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

export function decode(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

/** The error of a file that contradicts itself. */
export function broken(file: string, problem: string): FiddlerError {
  return new FiddlerError('file', `${file}: ${problem}`, 'the file is damaged or incomplete; download it again');
}
