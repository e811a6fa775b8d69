import { randomBytes } from 'node:crypto';
import { closeSync, openSync, readdirSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { sleep } from './sleep.js';

/** Who holds a file's lock, or is about to see whether it does. */
export interface LockHolder {
  pid: number;
  /** What says so, named as no other ever is. */
  entry: string;
}

/** Longest wait of those that met until each tries again, in milliseconds. */
const APART = 10;

/**
 * Locks `file` among processes that lock it so. Each makes an entry of its own beside the file, FILE.lock.PID.RANDOM, and
 * holds the lock if it then sees no other: of two, the one that looks later sees both. No name is used twice, so that
 * what is removed for having ended can be nobody else's meanwhile, as it could if all had one name.
 * @param hasEnded whether an entry is of a process that ended without removing it; once it is, it stays so
 * @returns unlocks it; or who holds it
 */
export function lockFile(file: string, hasEnded: (holder: LockHolder) => boolean): (() => void) | LockHolder {
  for (;;) {
    const holder = holders(file, hasEnded)[0];
    if (holder) return holder;
    const entry = `${file}.lock.${process.pid}.${randomBytes(8).toString('hex')}`;
    closeSync(openSync(entry, 'wx'));
    const unlock = () => rmSync(entry, { force: true });
    const seen = holders(file, hasEnded);
    if (seen.length === 1 && seen[0]!.entry === entry) return unlock;
    unlock();
    sleep(Math.random() * APART);
  }
}

/** Entries of a file without those that have ended, which are removed. */
function holders(file: string, hasEnded: (holder: LockHolder) => boolean): LockHolder[] {
  const prefix = `${basename(file)}.lock.`;
  return readdirSync(dirname(file)).flatMap((name) => {
    const pid = name.startsWith(prefix) && /^(\d+)\.[\da-f]+$/.exec(name.slice(prefix.length))?.[1];
    if (!pid) return [];
    const holder = { pid: Number(pid), entry: join(dirname(file), name) };
    if (!hasEnded(holder)) return [holder];
    rmSync(holder.entry, { force: true });
    return [];
  });
}
