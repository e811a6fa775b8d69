import { availableParallelism, freemem, totalmem } from 'node:os';
import { groupCpus, groupMemory } from './control-groups.js';
import { allowedCpus, nodesOf, orderCpus, readSystem, readTopology } from './topology.js';

/** CPUs, which are hardware threads, that this process may use: its affinity, and the quota of its control groups. */
export function usableCpus(): number {
  const allowed = allowedCpus()?.length ?? availableParallelism();
  return Math.max(1, Math.min(allowed, availableParallelism(), groupCpus()));
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

/** Bytes of RAM that this process can still take: by its control groups where they have a limit, else by the system. */
export function availableRam(): { available: number; total: number } {
  const meminfo = readSystem('/proc/meminfo');
  const field = (name: string) =>
    Number(meminfo?.match(new RegExp(`^${name}:\\s+(\\d+)`, 'm'))?.[1] ?? Number.NaN) * 1024;
  const total = meminfo ? field('MemTotal') : totalmem();
  const available = meminfo ? field('MemAvailable') : freemem();
  const group = groupMemory(total);
  if (!group) return { available, total };
  const { limit, free } = group;
  // A host whose memory grows as it is used shows less in MemTotal than its limit allows.
  return {
    available: total < limit ? Math.max(available, free) : Math.min(available, free),
    total: Math.max(total, limit),
  };
}
