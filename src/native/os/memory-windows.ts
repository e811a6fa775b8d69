import koffi from 'koffi';
import type { Calls } from '../calls.js';
import { check, type MemorySystem, range } from './memory-system.js';

const GENERIC_READ = 0x8000_0000;
const FILE_SHARE_READ = 1;
const OPEN_EXISTING = 3;
const FILE_ATTRIBUTE_NORMAL = 0x80;
const PAGE_READONLY = 2;
const MEM_COMMIT = 0x1000;
const MEM_RESERVE = 0x2000;
const MEM_RELEASE = 0x8000;
const PAGE_READWRITE = 4;
const FILE_MAP_READ = 4;
const ERROR_NOT_LOCKED = 158;
const INVALID_HANDLE_VALUE = 0xffff_ffff_ffff_ffffn;

/** A library's functions by their names, results and arguments. */
type Load = (library: string) => { func(name: string, result: string, args: readonly string[]): Calls[string] };

/** Mappings by kernel32. No Windows machine was at hand: what it calls is tested by functions that stand in for it. */
export function windowsMemory(load: Load = koffi.load): MemorySystem {
  const kernel32 = load('kernel32.dll');
  const u32 = 'uint32_t';
  const word = 'uintptr_t'; // handles and addresses
  const createFile = kernel32.func('CreateFileW', word, ['str16', u32, u32, word, u32, u32, word]);
  const createFileMapping = kernel32.func('CreateFileMappingW', word, [word, word, u32, u32, u32, word]);
  const mapViewOfFile = kernel32.func('MapViewOfFile', word, [word, u32, u32, u32, 'size_t']);
  const unmapViewOfFile = kernel32.func('UnmapViewOfFile', 'int', [word]);
  const closeHandle = kernel32.func('CloseHandle', 'int', [word]);
  const virtualUnlock = kernel32.func('VirtualUnlock', 'int', [word, 'size_t']);
  const prefetchVirtualMemory = kernel32.func('PrefetchVirtualMemory', 'int', [word, 'size_t', 'void *', u32]);
  const virtualAlloc = kernel32.func('VirtualAlloc', word, [word, 'size_t', u32, u32]);
  const virtualFree = kernel32.func('VirtualFree', 'int', [word, 'size_t', u32]);
  const getCurrentProcess = kernel32.func('GetCurrentProcess', word, []);
  const getLastError = kernel32.func('GetLastError', u32, []);
  const memmove = load('ucrtbase.dll').func('memmove', word, [word, word, 'size_t']);
  const reason = () => `Windows error ${getLastError()}`;
  const close = (handle: bigint, file: string) => check(closeHandle(handle) !== 0, 'CloseHandle', file, reason);

  function mapHandle(handle: bigint, file: string): bigint {
    const section = BigInt(createFileMapping(handle, 0, PAGE_READONLY, 0, 0, 0));
    check(section !== 0n, 'CreateFileMappingW', file, reason);
    try {
      const address = BigInt(mapViewOfFile(section, FILE_MAP_READ, 0, 0, 0));
      check(address !== 0n, 'MapViewOfFile', file, reason);
      return address;
    } finally {
      close(section, file);
    }
  }

  return {
    pageSize: 4096, // on x64 and arm64
    map(file) {
      const handle = BigInt(
        createFile(file, GENERIC_READ, FILE_SHARE_READ, 0, OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, 0),
      );
      check(handle !== INVALID_HANDLE_VALUE, 'CreateFileW', file, reason);
      try {
        return mapHandle(handle, file);
      } finally {
        close(handle, file);
      }
    },
    anonymous(bytes) {
      const address = BigInt(virtualAlloc(0n, bytes, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE));
      check(address !== 0n, 'VirtualAlloc', `${bytes} bytes of memory`, reason);
      return address;
    },
    reserve(bytes, used) {
      const address = BigInt(virtualAlloc(0n, bytes, MEM_RESERVE, PAGE_READWRITE));
      check(address !== 0n, 'VirtualAlloc', `${bytes} bytes of address space`, reason);
      const committed = BigInt(virtualAlloc(address, used, MEM_COMMIT, PAGE_READWRITE)) !== 0n;
      const why = committed ? '' : reason();
      if (!committed) virtualFree(address, 0, MEM_RELEASE);
      check(committed, 'VirtualAlloc', range(address, used), () => why);
      return address;
    },
    unmap: ({ file, address }) => check(unmapViewOfFile(address) !== 0, 'UnmapViewOfFile', file, reason),
    free: ({ file, address }) => check(virtualFree(address, 0, MEM_RELEASE) !== 0, 'VirtualFree', file, reason),
    // Unlocking pages that are not locked takes them out of the working set, and fails with ERROR_NOT_LOCKED.
    release(address, bytes) {
      const dropped = virtualUnlock(address, bytes) !== 0 || getLastError() === ERROR_NOT_LOCKED;
      check(dropped, 'VirtualUnlock', range(address, bytes), reason);
    },
    move: (target, source, bytes) => void memmove(target, source, bytes),
    populate(address, bytes) {
      const entry = new BigUint64Array([address, BigInt(bytes)]); // WIN32_MEMORY_RANGE_ENTRY
      const started = prefetchVirtualMemory(getCurrentProcess(), 1, entry, 0) !== 0;
      check(started, 'PrefetchVirtualMemory', range(address, bytes), reason);
    },
  };
}
