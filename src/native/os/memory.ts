import { statSync } from 'node:fs';
import koffi from 'koffi';
import { FiddlerError } from '../../errors.js';
import { hold } from '../resources.js';
import { posixMemory } from './memory-posix.js';
import { windowsMemory } from './memory-windows.js';

/** A longer ArrayBuffer is refused: one above 4 GiB aborts Node 20. */
export const LONGEST_VIEW = 2 ** 31;

const system = process.platform === 'win32' ? windowsMemory() : posixMemory();

/** A file mapped read-only; writing through an address of it kills the process. Or memory that is no file's. */
export class Mapping {
  /** See {@link unmap}. No WeakMap knows it: of each that came and went one would keep a part until a full garbage collection. */
  readonly end: () => void;

  /**
   * Made by the functions below.
   * @param address of the first byte, page-aligned
   * @param free gives it back
   */
  constructor(
    readonly file: string,
    readonly address: bigint,
    readonly bytes: number,
    free: (mapping: Mapping) => void,
  ) {
    this.end = hold(() => free(this));
  }
}

/** Bytes of a page of memory. */
export const pageSize: number = system.pageSize;

/**
 * Maps the whole of a regular file that is not empty; nothing is read until it is touched.
 * @throws FiddlerError `file`: missing, not a file, empty, or refused by the system
 */
export function mapFile(file: string): Mapping {
  const bytes = fileBytes(file);
  return new Mapping(file, system.map(file, bytes), bytes, system.unmap);
}

/**
 * Zeroed memory of this process's own, which counts as used where it was written.
 * @param name for error messages
 * @param huge it may be given as huge pages, which count as used as a whole, with what lies beside it
 */
export function mapAnonymous(name: string, bytes: number, huge = true): Mapping {
  return new Mapping(name, system.anonymous(bytes, huge), bytes, system.free);
}

/**
 * Stands for a file that is elsewhere: addresses of its whole size, of which the first bytes are `head`. Only those take
 * memory and may be read.
 * @param file for error messages
 */
export function mapHead(file: string, bytes: number, head: Uint8Array): Mapping {
  const mapping = new Mapping(file, system.reserve(bytes, head.length), bytes, system.free);
  new Uint8Array(view(mapping.address, head.length)).set(head);
  return mapping;
}

/** Ends a mapping; its addresses and the views of them are invalid afterwards. */
export function unmap(mapping: Mapping): void {
  mapping.end();
}

/**
 * Drops the physical pages wholly inside [address, address + bytes) of a mapping; touching them reads the file again.
 * Never for memory that is not mapped from a file: its contents would be lost.
 */
export function release(address: bigint, bytes: number): void {
  const page = BigInt(pageSize);
  const begin = ((address + page - 1n) / page) * page;
  const end = ((address + BigInt(bytes)) / page) * page;
  if (end > begin) system.release(begin, Number(end - begin));
}

/**
 * Reads the pages that [address, address + bytes) of a mapping touches, so that no first use of them waits for the disk;
 * where the system cannot, it is only told that they will be needed.
 */
export function populate(address: bigint, bytes: number): void {
  if (bytes === 0) return;
  const page = BigInt(pageSize);
  const begin = (address / page) * page;
  system.populate(begin, Number(address - begin) + bytes);
}

/** Copies `bytes` of native memory; the two ranges may overlap. Neither is checked. */
export function memmove(target: bigint, source: bigint, bytes: number): void {
  system.move(target, source, bytes);
}

/**
 * Native memory as an ArrayBuffer, without a copy; the memory must outlive it.
 * @throws FiddlerError `memory`: more than {@link LONGEST_VIEW} bytes
 */
export function view(address: bigint, bytes: number): ArrayBuffer {
  if (bytes > LONGEST_VIEW) {
    throw new FiddlerError(
      'memory',
      `a view of ${bytes} bytes is too long`,
      `view at most ${LONGEST_VIEW} bytes at once`,
    );
  }
  return bytes === 0 ? new ArrayBuffer(0) : koffi.view(address, bytes);
}

function fileBytes(file: string): number {
  let stat: ReturnType<typeof statSync>;
  try {
    stat = statSync(file);
  } catch (error) {
    throw new FiddlerError(
      'file',
      `cannot open ${file}: ${(error as Error).message}`,
      'check the path and its permissions',
      {
        cause: error,
      },
    );
  }
  if (!stat.isFile()) throw new FiddlerError('file', `${file} is not a regular file`, 'give the path of a file');
  if (stat.size === 0) throw new FiddlerError('file', `${file} is empty`, 'download it again');
  return stat.size;
}
