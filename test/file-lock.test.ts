import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type LockHolder, lockFile } from '../src/file-lock.js';
import { temporaryFolder } from './support/folder.js';

const never = () => false;
const temporaryFile = () => join(temporaryFolder(), 'file');
const left = (file: string) => readdirSync(dirname(file));

function locked(taken: ReturnType<typeof lockFile>): () => void {
  expect(taken).toBeInstanceOf(Function);
  return taken as () => void;
}

describe('the lock of a file', () => {
  it('is held by one until it is unlocked, which leaves nothing', () => {
    const file = temporaryFile();
    const unlock = locked(lockFile(file, never));
    expect(lockFile(file, never)).toMatchObject({ pid: process.pid });
    expect(left(file), 'who is refused leaves nothing').toHaveLength(1);
    const other = locked(lockFile(`${file}.lock`, never));
    unlock();
    locked(lockFile(file, never))();
    other();
    expect(left(file)).toEqual([]);
  });

  it('is taken from a process that has ended, by one of those who see that at once', () => {
    const file = temporaryFile();
    const old = `${file}.lock.7.0a`;
    writeFileSync(old, '');
    let first: (() => void) | undefined;
    const isOld = ({ entry }: LockHolder) => entry === old;
    // Between having seen that the old one has ended and its removal another process removes it and takes the lock.
    const late = lockFile(file, (holder) => {
      if (isOld(holder)) first ??= locked(lockFile(file, isOld));
      return isOld(holder);
    });
    expect(late).toMatchObject({ pid: process.pid });
    expect(existsSync(old)).toBe(false);
    first!();
    expect(left(file)).toEqual([]);
  });

  it('is not held by one whose entry was taken for an old one', () => {
    const file = temporaryFile();
    const seen = new Set<string>();
    const unlock = locked(
      lockFile(file, ({ entry }) => {
        seen.add(entry);
        return seen.size === 1; // the first entry, its own
      }),
    );
    expect(seen.size).toBe(2);
    expect(left(file)).toHaveLength(1);
    unlock();
  });
});
