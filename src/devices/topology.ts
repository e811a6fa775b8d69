import { readFileSync } from 'node:fs';

const CPUS = '/sys/devices/system/cpu';
const NODES = '/sys/devices/system/node';

/** CPUs, which are hardware threads, as Linux numbers them. */
export interface Topology {
  /** Those that this process may use; one at least. */
  allowed: readonly number[];
  /** Those of each NUMA node, by its number; none where there is no such node. */
  nodes: readonly (readonly number[])[];
  /** Names a CPU's core, alike for its hardware threads; undefined where that is not known. */
  core: (cpu: number) => string | undefined;
  /** Those of the fast cores of a hybrid processor. */
  fast?: readonly number[];
}

/** A file of the system, which may be missing. */
export function readSystem(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

/** Numbers of the CPUs that this process may use; undefined on other systems than Linux. */
export function allowedCpus(): number[] | undefined {
  const list = readSystem('/proc/self/status')?.match(/^Cpus_allowed_list:\s*(\d.*)$/m)?.[1];
  return list === undefined ? undefined : parseList(list);
}

/** The CPUs of this machine; undefined on other systems than Linux. */
export function readTopology(): Topology | undefined {
  const allowed = allowedCpus();
  if (!allowed) return undefined;
  const list = (file: string) => parseList(readSystem(file) ?? '');
  const fast = list('/sys/devices/cpu_core/cpus');
  return {
    allowed,
    nodes: numbered(list(`${NODES}/online`), (node) => list(`${NODES}/node${node}/cpulist`)),
    core: (cpu) => readSystem(`${CPUS}/cpu${cpu}/topology/thread_siblings_list`)?.trim(),
    ...(fast.length > 0 && { fast }),
  };
}

/**
 * The CPUs as threads should take them, each part node by node: one of each fast core, then those that share such a core's
 * units, then those of slow cores, for which threads that work together would wait.
 * @returns also how many the first part has; slow cores count where no fast one is allowed
 */
export function orderCpus({ allowed, nodes, core, fast }: Topology): { order: number[]; cores: number } {
  const some = allowed.some((cpu) => fast?.includes(cpu));
  const known = new Set(allowed);
  const byNode = new Set([...nodes.flat().filter((cpu) => known.has(cpu)), ...allowed]);
  const taken = new Set<string>();
  const parts: [first: number[], shared: number[], slow: number[]] = [[], [], []];
  for (const cpu of byNode) {
    const name = core(cpu) ?? `${cpu}`;
    if (some && !fast?.includes(cpu)) parts[2].push(cpu);
    else parts[taken.has(name) ? 1 : 0].push(cpu);
    taken.add(name);
  }
  return { order: parts.flat(), cores: parts[0].length };
}

/** What there is for each number up to the last; nothing for those that are left out. */
function numbered(numbers: readonly number[], of: (number: number) => number[]): number[][] {
  return Array.from({ length: Math.max(-1, ...numbers) + 1 }, (_, n) => (numbers.includes(n) ? of(n) : []));
}

/** More nodes than a pool of threads tells apart. */
const MOST_NODES = 16;

/** The NUMA node of each of these CPUs; undefined where all are on one, or that is not known. */
export function nodesOf({ nodes }: Pick<Topology, 'nodes'>, cpus: readonly number[]): number[] | undefined {
  const found = cpus.map((cpu) => nodes.findIndex((node) => node.includes(cpu)));
  const known = found.every((node) => node >= 0 && node < MOST_NODES);
  return known && new Set(found).size > 1 ? found : undefined;
}

/** The numbers of a kernel's list such as `0-3,8`. */
export function parseList(list: string): number[] {
  if (!list.trim()) return [];
  return list.split(',').flatMap((part) => {
    const [from, to = from] = part.split('-').map(Number);
    return Array.from({ length: to! - from! + 1 }, (_, i) => from! + i);
  });
}
