import { FiddlerError } from '../../errors.js';
import { type LockHolder, lockFile } from '../../file-lock.js';

/**
 * Makes this process the only one of Fiddler's that writes `file`.
 * @param doing what it does, for the error
 * @returns ends that
 * @throws FiddlerError `file`: another process writes it
 */
export function claim(file: string, doing = 'downloading'): () => void {
  const locked = lockFile(file, hasEnded);
  if (typeof locked === 'function') return locked;
  const { pid, entry } = locked;
  const problem = `process ${pid} is ${doing} ${file} already`;
  throw new FiddlerError('file', problem, `wait for it; if it is no process of Fiddler's, remove ${entry}`);
}

function hasEnded({ pid }: LockHolder): boolean {
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'EPERM';
  }
}
