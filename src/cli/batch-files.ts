import { closeSync, createReadStream, ftruncateSync, openSync, writeSync } from 'node:fs';
import { FiddlerError } from '../errors.js';
import type { BatchRecord } from '../server/batch.js';

const NEWLINE = 0x0a;
/** With what every record begins. */
const BEGINNING = '{"id":"batch_req_';
/** Bytes of a record, at most. */
const LONGEST_RECORD = 1 << 28;

/** A line of a file; without a text where it is too long or no UTF-8. */
export interface FileLine {
  /** From 1 on. */
  number: number;
  text?: string;
  bytes: number;
  /** Its first bytes, a character each. */
  head: string;
  /** A line break follows. */
  ended: boolean;
}

/** The lines of a file as it is read, of which no more than `most` bytes are kept at a time. */
export async function* linesOf(file: string, most: number): AsyncGenerator<FileLine> {
  let parts: Buffer[] = [];
  let [bytes, number] = [0, 0];
  const take = (ended: boolean): FileLine => {
    const all = Buffer.concat(parts);
    const head = all.toString('latin1', 0, BEGINNING.length);
    const line = { number: ++number, text: bytes > most ? undefined : textOf(all), bytes, head, ended };
    [parts, bytes] = [[], 0];
    return line;
  };
  for await (const chunk of createReadStream(file) as AsyncIterable<Buffer>) {
    for (let from = 0; from < chunk.length; ) {
      const end = chunk.indexOf(NEWLINE, from);
      const piece = chunk.subarray(from, end < 0 ? chunk.length : end);
      bytes += piece.length;
      if (bytes <= most) parts.push(piece);
      else parts = [];
      from = end < 0 ? chunk.length : end + 1;
      if (end >= 0) yield take(true);
    }
  }
  if (bytes > 0) yield take(false);
}

function textOf(bytes: Buffer): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** An output file: what it has, and what is added to it. */
export class BatchOutput {
  /** Requests that have an answer. */
  readonly answered = new Set<string>();
  /** Numbers of lines that could not be read, and were told so. */
  readonly refused = new Set<number>();
  private constructor(
    private readonly file: string,
    private readonly descriptor: number,
  ) {}

  /** Opens a file, which may be there already: a last line that was cut off is taken away. @throws FiddlerError */
  static async open(file: string): Promise<BatchOutput> {
    const output = new BatchOutput(file, opened(file));
    try {
      await output.read();
    } catch (error) {
      output.close();
      throw error;
    }
    return output;
  }

  private async read(): Promise<void> {
    let whole = 0;
    for await (const { number, text, bytes, head, ended } of linesOf(this.file, LONGEST_RECORD)) {
      if (!ended && BEGINNING.startsWith(head)) return ftruncateSync(this.descriptor, whole);
      whole += bytes + 1;
      const record = ended ? recordOf(text) : undefined;
      if (record === undefined) {
        const problem = `line ${number} of ${this.file} is no answer of a batch`;
        throw new FiddlerError('usage', problem, 'give another file as --output; nothing in it was changed');
      }
      if (record.error) this.refused.add(record.error.line);
      else this.answered.add(record.custom_id!);
    }
  }

  /** @throws FiddlerError `file` */
  add(record: BatchRecord): void {
    const bytes = Buffer.from(`${JSON.stringify(record)}\n`);
    try {
      for (let from = 0; from < bytes.length; ) from += writeSync(this.descriptor, bytes, from);
    } catch (error) {
      throw unwritable(this.file, error as Error);
    }
  }

  close(): void {
    closeSync(this.descriptor);
  }
}

function opened(file: string): number {
  try {
    return openSync(file, 'a+');
  } catch (error) {
    throw unwritable(file, error as Error);
  }
}

function unwritable(file: string, error: Error): FiddlerError {
  const problem = `cannot write to ${file}: ${error.message}`;
  return new FiddlerError('file', problem, 'make room for it, or give another --output', { cause: error });
}

/** What a line of an output file has; undefined where it is something else. */
function recordOf(text: string | undefined): BatchRecord | undefined {
  try {
    const record = JSON.parse(text ?? '') as Partial<BatchRecord> | null;
    const isAnswer = typeof record?.custom_id === 'string' && typeof record.response === 'object';
    return isAnswer || typeof record?.error?.line === 'number' ? (record as BatchRecord) : undefined;
  } catch {
    return undefined;
  }
}
