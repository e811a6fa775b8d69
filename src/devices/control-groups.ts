import { readSystem } from './topology.js';

const ROOT = '/sys/fs/cgroup';

/** What a control group may take of RAM, and what of that it can still take, in bytes. */
export interface GroupMemory {
  limit: number;
  free: number;
}

/** CPUs by the tightest quota of this process's control groups (rounded up); infinite where none has one. */
export function groupCpus(read = readSystem): number {
  const limits = groupFolders(read).map((folder) => {
    const [quota, period] = (read(`${folder}/cpu.max`) ?? 'max 100000').trim().split(' ').map(Number);
    return quota && period ? Math.ceil(quota / period) : Number.POSITIVE_INFINITY;
  });
  return Math.min(...limits);
}

/**
 * The control group of this process whose limit leaves it the least RAM; undefined where none has one.
 * @param total what the system says that there is: only a container's own limit, the outermost, may mean more
 */
export function groupMemory(total: number, read = readSystem): GroupMemory | undefined {
  const groups = groupFolders(read).flatMap((folder): GroupMemory[] => {
    const limit = Number(read(`${folder}/memory.max`)?.trim());
    if (!Number.isFinite(limit) || (folder !== ROOT && limit >= total)) return [];
    // Pages of files in the cache can be given up, so only anonymous memory counts as taken.
    const anonymous = Number(read(`${folder}/memory.stat`)?.match(/^anon (\d+)$/m)?.[1] ?? 0);
    return [{ limit, free: limit - anonymous }];
  });
  return groups.sort((a, b) => a.free - b.free)[0];
}

/** Folders of the control groups (of version 2) that this process is in, as a container shows them; the outermost first. */
function groupFolders(read: typeof readSystem): string[] {
  const path = read('/proc/self/cgroup')?.match(/^0::(.*)$/m)?.[1] ?? '/';
  const names = path.split('/').filter((name) => name !== '');
  // Of a group outside of what is shown, only the root's files can be seen.
  if (names.includes('..')) return [ROOT];
  return [ROOT, ...names.map((_, i) => [ROOT, ...names.slice(0, i + 1)].join('/'))];
}
