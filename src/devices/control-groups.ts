import { readSystem } from './topology.js';

/** Where the groups of version 2 are. */
const UNIFIED = '/sys/fs/cgroup';
/** Version 1 writes a limit of nearly 2⁶³ bytes where there is none. */
const NO_LIMIT = 2 ** 60;

/** What a control group may take of RAM, and what of that it can still take, in bytes. */
export interface GroupMemory {
  limit: number;
  free: number;
}

/** The folder of a control group's files, which have other names in each version. */
interface Group {
  folder: string;
  version: 1 | 2;
  /** The outermost that is shown: a container's own. */
  isOutermost: boolean;
}

/** CPUs by the tightest quota of this process's control groups (rounded up); infinite where none has one. */
export function groupCpus(read = readSystem): number {
  const limits = groupsOf('cpu', read).map(({ folder, version }) => {
    const [quota, period] =
      version === 2
        ? (read(`${folder}/cpu.max`) ?? '').split(' ').map(Number)
        : ['quota', 'period'].map((name) => Number(read(`${folder}/cpu.cfs_${name}_us`)));
    return quota! > 0 && period! > 0 ? Math.ceil(quota! / period!) : Number.POSITIVE_INFINITY;
  });
  return Math.min(...limits);
}

/**
 * The control group of this process whose limit leaves it the least RAM; undefined where none has one.
 * @param total what the system says that there is: only a container's own limit, the outermost, may mean more
 */
export function groupMemory(total: number, read = readSystem): GroupMemory | undefined {
  const limited = groupsOf('memory', read).flatMap(({ folder, version, isOutermost }): GroupMemory[] => {
    const limit = Number(read(`${folder}/memory.${version === 2 ? 'max' : 'limit_in_bytes'}`)?.trim());
    if (!(limit < NO_LIMIT) || (!isOutermost && limit >= total)) return [];
    // Pages of files in the cache can be given up, so only anonymous memory counts as taken.
    const anonymous = version === 2 ? /^anon (\d+)$/m : /^total_rss (\d+)$/m;
    return [{ limit, free: limit - Number(read(`${folder}/memory.stat`)?.match(anonymous)?.[1] ?? 0) }];
  });
  return limited.sort((a, b) => a.free - b.free)[0];
}

/** The control groups that this process is in, the outermost first; of version 1 those in which the controller is. */
function groupsOf(controller: 'cpu' | 'memory', read: typeof readSystem): Group[] {
  const own = read('/proc/self/cgroup') ?? '';
  const unified = chain(UNIFIED, own.match(/^0::(.*)$/m)?.[1] ?? '/', 2);
  const path = own.match(new RegExp(`^\\d+:(?:[^:]*,)?${controller}(?:,[^:]*)?:(.*)$`, 'm'))?.[1];
  const mounted = path === undefined ? undefined : mountOf(controller, read('/proc/self/mountinfo') ?? '');
  if (path === undefined || !mounted) return unified;
  const { root, folder } = mounted;
  const isShown = root === '/' || `${path}/`.startsWith(`${root}/`);
  return [...unified, ...chain(folder, isShown ? path.slice(root === '/' ? 0 : root.length) : '/', 1)];
}

/** Groups from the outermost to that of a path within it. */
function chain(outermost: string, path: string, version: 1 | 2): Group[] {
  const names = path.split('/').filter((name) => name !== '');
  const inner = names.includes('..') ? [] : names; // of a group outside of what is shown only the outermost's files are seen
  const folders = inner.map((_, i) => [outermost, ...inner.slice(0, i + 1)].join('/'));
  return [outermost, ...folders].map((folder) => ({ folder, version, isOutermost: folder === outermost }));
}

/** Where a controller's groups of version 1 are, and the path of that which is the outermost there. */
function mountOf(controller: string, mountinfo: string): { root: string; folder: string } | undefined {
  for (const line of mountinfo.split('\n')) {
    const [where, what = ''] = line.split(' - ');
    const [type, , options = ''] = what.split(' ');
    if (type !== 'cgroup' || !options.split(',').includes(controller)) continue;
    const [, , , root, folder] = where!.split(' ').map(unescaped);
    if (root !== undefined && folder !== undefined) return { root, folder };
  }
  return undefined;
}

/** The kernel writes spaces and the like as three octal digits. */
function unescaped(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}
