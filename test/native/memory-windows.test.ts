import { describe, expect, it } from 'vitest';
import { windowsMemory } from '../../src/native/os/memory-windows.js';
import { fiddlerError } from '../support/errors.js';

const MEM_COMMIT = 0x1000;

/** Windows as far as addresses go: what is allocated, and what of files is mapped. @param commits it has memory left */
function windows(commits = true) {
  const [allocated, views] = [new Set<bigint>(), new Set<bigint>()];
  const handles = new Set<bigint>();
  let next = 0n;
  const add = (set: Set<bigint>) => {
    next += 0x10000n;
    set.add(next);
    return next;
  };
  const calls: Record<string, (...args: never[]) => unknown> = {
    VirtualAlloc: (address: bigint, _: number, kind: number) => {
      if (kind & MEM_COMMIT && !commits) return 0n;
      return address === 0n ? add(allocated) : address;
    },
    VirtualFree: (address: bigint, bytes: number) => Number(bytes === 0 && allocated.delete(address)),
    CreateFileW: () => add(handles),
    CreateFileMappingW: () => add(handles),
    MapViewOfFile: () => add(views),
    UnmapViewOfFile: (address: bigint) => Number(views.delete(address)),
    CloseHandle: (handle: bigint) => Number(handles.delete(handle)),
    GetLastError: () => 1455,
  };
  const system = windowsMemory(() => ({ func: (name) => calls[name] ?? (() => 1) }));
  return { system, left: () => [allocated.size, views.size, handles.size] };
}

describe('the memory of Windows', () => {
  it('is given back as it was taken', () => {
    const { system, left } = windows();
    const mapped = (address: bigint) => ({ file: 'f', address, bytes: 1 });
    const file = mapped(system.map('f', 1));
    const own = [mapped(system.anonymous(1, false)), mapped(system.reserve(1, 1))];
    expect(left()).toEqual([2, 1, 0]);
    system.unmap(file);
    for (const each of own) system.free(each);
    expect(left()).toEqual([0, 0, 0]);
    expect(fiddlerError('file', () => system.unmap(mapped(system.anonymous(1, false))))).toContain('UnmapViewOfFile');
  });

  it('is given back where there is none for the part of it that is used', () => {
    const { system, left } = windows(false);
    expect(fiddlerError('file', () => system.reserve(1 << 20, 4096))).toContain('Windows error 1455');
    expect(left()).toEqual([0, 0, 0]);
  });
});
