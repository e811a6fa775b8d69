import { readFileSync } from 'node:fs';
import { availableParallelism, freemem, totalmem } from 'node:os';

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

/** Cores this process may use: its affinity, and its control group's quota (rounded up). */
export function usableCores(): number {
  const affinity = read('/proc/self/status')?.match(/^Cpus_allowed_list:\s*(.+)$/m)?.[1];
  const allowed = affinity ? countList(affinity) : availableParallelism();
  const [quota, period] = (read('/sys/fs/cgroup/cpu.max') ?? 'max 100000').trim().split(' ').map(Number);
  const limit = quota && period ? Math.ceil(quota / period) : Number.POSITIVE_INFINITY;
  return Math.max(1, Math.min(allowed, availableParallelism(), limit));
}

/** Number of entries of a kernel's list such as `0-3,8`. */
export function countList(list: string): number {
  return list.split(',').reduce((sum, part) => {
    const [from, to = from] = part.split('-').map(Number);
    return sum + to! - from! + 1;
  }, 0);
}

/** Bytes of RAM that this process can still take: by its control group where that has a limit, else by the system. */
export function availableRam(): { available: number; total: number } {
  const meminfo = read('/proc/meminfo');
  const field = (name: string) =>
    Number(meminfo?.match(new RegExp(`^${name}:\\s+(\\d+)`, 'm'))?.[1] ?? Number.NaN) * 1024;
  const total = meminfo ? field('MemTotal') : totalmem();
  const available = meminfo ? field('MemAvailable') : freemem();
  const limit = Number(read('/sys/fs/cgroup/memory.max')?.trim());
  if (!Number.isFinite(limit)) return { available, total };
  // Pages of files in the cache can be given up, so only anonymous memory counts as taken.
  const anonymous = Number(read('/sys/fs/cgroup/memory.stat')?.match(/^anon (\d+)$/m)?.[1] ?? 0);
  // A host whose memory grows as it is used shows less in MemTotal than its limit allows.
  const free = limit - anonymous;
  return {
    available: total < limit ? Math.max(available, free) : Math.min(available, free),
    total: Math.max(total, limit),
  };
}
