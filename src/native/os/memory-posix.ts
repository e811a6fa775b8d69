import { closeSync, openSync } from 'node:fs';
import { getSystemErrorMap } from 'node:util';
import koffi from 'koffi';
import { FiddlerError } from '../../errors.js';
import { bind } from '../calls.js';
import { check, type MemorySystem, range } from './memory-system.js';

// The same on Linux and macOS (sys/mman.h).
const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_PRIVATE = 2;
const MADV_WILLNEED = 3;
const MADV_DONTNEED = 4;
// These differ between the two systems.
const MAP_ANONYMOUS = process.platform === 'darwin' ? 0x1000 : 0x20;
const MAP_NORESERVE = process.platform === 'darwin' ? 0x40 : 0x4000;
const MADV_HUGEPAGE = 14; // Linux only
const MADV_POPULATE_READ = 22; // Linux 5.14 and newer
const MAP_FAILED = 0xffff_ffff_ffff_ffffn;

/** mmap, munmap, mprotect and madvise from the C library of Linux or macOS. */
export function posixMemory(): MemorySystem {
  const libc = koffi.load(null);
  const c = bind(
    {
      mmap: 'uintptr_t mmap(uintptr_t address, size_t bytes, int protection, int flags, int fd, int64_t offset)',
      munmap: 'int munmap(uintptr_t address, size_t bytes)',
      mprotect: 'int mprotect(uintptr_t address, size_t bytes, int protection)',
      madvise: 'int madvise(uintptr_t address, size_t bytes, int advice)',
      memmove: 'uintptr_t memmove(uintptr_t target, uintptr_t source, size_t bytes)',
      getpagesize: 'int getpagesize()',
    },
    (declaration) => libc.func(declaration),
  );

  const advise = (address: bigint, bytes: number, advice: number) =>
    check(c.madvise(address, bytes, advice) === 0, 'madvise', range(address, bytes), errnoText);

  const unmap: MemorySystem['unmap'] = ({ file, address, bytes }) =>
    check(c.munmap(address, bytes) === 0, 'munmap', file, errnoText);

  return {
    pageSize: c.getpagesize(),
    map(file, bytes) {
      const fd = openForReading(file);
      try {
        const address = BigInt(c.mmap(0n, bytes, PROT_READ, MAP_PRIVATE, fd, 0));
        check(address !== MAP_FAILED, 'mmap', file, errnoText);
        return address;
      } finally {
        closeSync(fd);
      }
    },
    anonymous(bytes, huge) {
      const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
      const address = BigInt(c.mmap(0n, bytes, PROT_READ | PROT_WRITE, flags, -1, 0));
      check(address !== MAP_FAILED, 'mmap', `${bytes} bytes of memory`, errnoText);
      if (huge && process.platform === 'linux') c.madvise(address, bytes, MADV_HUGEPAGE); // a kernel without them refuses
      return address;
    },
    reserve(bytes, used) {
      // Memory that cannot be written is not counted against the system's limit, whatever its policy of overcommitment.
      const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
      const address = BigInt(c.mmap(0n, bytes, PROT_READ, flags, -1, 0));
      check(address !== MAP_FAILED, 'mmap', `${bytes} bytes of address space`, errnoText);
      const writable = c.mprotect(address, used, PROT_READ | PROT_WRITE) === 0;
      const reason = writable ? '' : errnoText();
      if (!writable) c.munmap(address, bytes);
      check(writable, 'mprotect', range(address, used), () => reason);
      return address;
    },
    unmap,
    free: unmap,
    release: (address, bytes) => advise(address, bytes, MADV_DONTNEED),
    populate(address, bytes) {
      const populated = process.platform === 'linux' && c.madvise(address, bytes, MADV_POPULATE_READ) === 0;
      if (!populated) advise(address, bytes, MADV_WILLNEED);
    },
    move: (target, source, bytes) => void c.memmove(target, source, bytes),
  };
}

function openForReading(file: string): number {
  try {
    return openSync(file, 'r');
  } catch (error) {
    throw new FiddlerError('file', `cannot open ${file}: ${(error as Error).message}`, 'check its permissions', {
      cause: error,
    });
  }
}

/** The last C call's error, as in `ENOMEM: not enough memory`. */
function errnoText(): string {
  const errno = koffi.errno();
  return getSystemErrorMap().get(-errno)?.join(': ') ?? `error ${errno}`;
}
