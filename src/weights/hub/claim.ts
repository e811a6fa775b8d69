import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { FiddlerError } from '../../errors.js';

/** Milliseconds in which whoever made a lock has written into it who that is. */
const WRITTEN = 10_000;

/**
 * Makes this process the only one of Fiddler's that writes `file`.
 * @param doing what it does, for the error
 * @returns ends that
 * @throws FiddlerError `file`: another process writes it
 */
export function claim(file: string, doing = 'downloading'): () => void {
  const lock = `${file}.lock`;
  for (;;) {
    try {
      writeFileSync(lock, `${process.pid}`, { flag: 'wx' });
      return () => rmSync(lock, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const owner = readOwner(lock);
    if (owner === undefined ? isNew(lock) : isRunning(owner)) {
      const problem = `${owner === undefined ? 'another process' : `process ${owner}`} is ${doing} ${file} already`;
      throw new FiddlerError('file', problem, `wait for it; if it is no process of Fiddler's, remove ${lock}`);
    }
    rmSync(lock, { force: true }); // of a process that ended without cleaning up
  }
}

function readOwner(lock: string): number | undefined {
  try {
    return Number(readFileSync(lock, 'utf8')) || undefined;
  } catch {
    return undefined; // gone meanwhile
  }
}

/** It may still be written. */
function isNew(lock: string): boolean {
  const since = statSync(lock, { throwIfNoEntry: false })?.mtimeMs;
  return since !== undefined && Math.abs(Date.now() - since) < WRITTEN;
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
