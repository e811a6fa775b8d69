import { availableParallelism, freemem, totalmem } from 'node:os';
import { allowedCpus, nodesOf, orderCpus, readSystem, readTopology } from './topology.js';

/** CPUs, which are hardware threads, that this process may use: its affinity, and its control group's quota (rounded up). */
export function usableCpus(): number {
  const allowed = allowedCpus()?.length ?? availableParallelism();
  const [quota, period] = (readSystem('/sys/fs/cgroup/cpu.max') ?? 'max 100000').trim().split(' ').map(Number);
  const limit = quota && period ? Math.ceil(quota / period) : Number.POSITIVE_INFINITY;
  return Math.max(1, Math.min(allowed, availableParallelism(), limit));
}

/** Cores of these CPUs that compute at full speed, see {@link orderCpus}; where that is not known, every CPU counts. */
export function usableCores(): number {
  const topology = readTopology();
  return topology ? Math.min(orderCpus(topology).cores, usableCpus()) : usableCpus();
}

/** A CPU for each of so many threads; undefined where there are fewer, or the system does not say. */
export function cpusForThreads(threads: number): number[] | undefined {
  const topology = readTopology();
  const order = topology ? orderCpus(topology).order : [];
  return order.length < threads ? undefined : order.slice(0, threads);
}

/** The NUMA node of each of these CPUs, where they are on several. */
export function nodesOfCpus(cpus: readonly number[] | undefined): number[] | undefined {
  const topology = cpus && readTopology();
  return topology && nodesOf(topology, cpus);
}

/** Bytes of RAM that this process can still take: by its control group where that has a limit, else by the system. */
export function availableRam(): { available: number; total: number } {
  const meminfo = readSystem('/proc/meminfo');
  const field = (name: string) =>
    Number(meminfo?.match(new RegExp(`^${name}:\\s+(\\d+)`, 'm'))?.[1] ?? Number.NaN) * 1024;
  const total = meminfo ? field('MemTotal') : totalmem();
  const available = meminfo ? field('MemAvailable') : freemem();
  const limit = Number(readSystem('/sys/fs/cgroup/memory.max')?.trim());
  if (!Number.isFinite(limit)) return { available, total };
  // Pages of files in the cache can be given up, so only anonymous memory counts as taken.
  const anonymous = Number(readSystem('/sys/fs/cgroup/memory.stat')?.match(/^anon (\d+)$/m)?.[1] ?? 0);
  // A host whose memory grows as it is used shows less in MemTotal than its limit allows.
  const free = limit - anonymous;
  return {
    available: total < limit ? Math.max(available, free) : Math.min(available, free),
    total: Math.max(total, limit),
  };
}
