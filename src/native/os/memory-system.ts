import { FiddlerError } from '../../errors.js';

/** The whole of what was mapped at once, and its name for error messages. */
interface Mapped {
  readonly file: string;
  readonly address: bigint;
  readonly bytes: number;
}

/** What one operating system's memory calls look like to `memory.ts`. Addresses are page-aligned. */
export interface MemorySystem {
  readonly pageSize: number;
  /** Maps `bytes` of a file read-only and gives the address. */
  map(file: string, bytes: number): bigint;
  /** Maps `bytes` of zeroed memory that is taken as it is written; in huge pages where they are asked for and the system has them. */
  anonymous(bytes: number, huge: boolean): bigint;
  /** Takes `bytes` of address space, of which the first `used` are memory that can be written and the rest takes none. */
  reserve(bytes: number, used: number): bigint;
  /** Gives back what `map` took. */
  unmap(mapping: Mapped): void;
  /** Gives back what `anonymous` or `reserve` took. */
  free(mapping: Mapped): void;
  release(address: bigint, bytes: number): void;
  populate(address: bigint, bytes: number): void;
  move(target: bigint, source: bigint, bytes: number): void;
}

/** The one check of a native call's status. @throws FiddlerError `file`: the call, what it was about, and the system's reason */
export function check(succeeded: boolean, call: string, subject: string, reason: () => string): void {
  if (succeeded) return;
  throw new FiddlerError(
    'file',
    `${call} failed for ${subject}: ${reason()}`,
    'check the file and the memory limits of this process',
  );
}

/** How an error message names a range of memory. */
export const range = (address: bigint, bytes: number): string => `${bytes} bytes at 0x${address.toString(16)}`;
