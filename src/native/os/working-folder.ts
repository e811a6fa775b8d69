import { existsSync } from 'node:fs';
import { parse } from 'node:path';
import { isMainThread } from 'node:worker_threads';

/**
 * Leaves a working folder that was deleted for the root: Node.js starts no thread and no process there, and no relative
 * path means anything.
 */
export function leaveDeletedFolder(): void {
  if (!isMainThread || workingFolderExists()) return; // only the main thread may change it
  process.chdir(parse(process.execPath).root);
}

function workingFolderExists(): boolean {
  try {
    return existsSync(process.cwd());
  } catch {
    return false;
  }
}
