import { describe, expect, it } from 'vitest';
import { groupCpus, groupMemory } from '../../src/devices/control-groups.js';

const GiB = 2 ** 30;
const reader = (files: Record<string, string>) => (file: string) => files[file];

describe('control groups', () => {
  it('limit a process by those that its own lies in', () => {
    const read = reader({
      '/proc/self/cgroup': '1:name=systemd:/\n0::/user.slice/run-1.scope\n',
      '/sys/fs/cgroup/user.slice/cpu.max': '350000 100000\n',
      '/sys/fs/cgroup/user.slice/memory.max': `${8 * GiB}\n`,
      '/sys/fs/cgroup/user.slice/memory.stat': `file ${GiB}\nanon ${5 * GiB}\n`,
      '/sys/fs/cgroup/user.slice/run-1.scope/cpu.max': 'max 100000\n',
      '/sys/fs/cgroup/user.slice/run-1.scope/memory.max': `${4 * GiB}\n`,
      '/sys/fs/cgroup/user.slice/run-1.scope/memory.stat': 'anon 0\n',
    });
    expect(groupCpus(read)).toBe(4);
    expect(groupMemory(16 * GiB, read)).toEqual({ limit: 8 * GiB, free: 3 * GiB });
  });

  it.each(['0::/\n', '0::/../other\n', '4:memory:/docker/1\n'])('are a container’s root where they are %j', (own) => {
    const read = reader({
      '/proc/self/cgroup': own,
      '/sys/fs/cgroup/cpu.max': '200000 100000\n',
      '/sys/fs/cgroup/memory.max': `${GiB}\n`,
    });
    expect(groupCpus(read)).toBe(2);
    expect(groupMemory(16 * GiB, read)).toEqual({ limit: GiB, free: GiB });
  });

  it('mean more RAM than the system shows only as a container’s own', () => {
    const files = {
      '/proc/self/cgroup': '0::/user.slice\n',
      '/sys/fs/cgroup/memory.max': `${32 * GiB}\n`,
      '/sys/fs/cgroup/user.slice/memory.max': `${24 * GiB}\n`,
    };
    expect(groupMemory(16 * GiB, reader(files))).toEqual({ limit: 32 * GiB, free: 32 * GiB });
  });

  it('limit nothing where no file says so', () => {
    const unlimited = reader({ '/sys/fs/cgroup/memory.max': 'max\n', '/sys/fs/cgroup/cpu.max': 'max 100000\n' });
    for (const read of [reader({}), unlimited]) {
      expect(groupCpus(read)).toBe(Number.POSITIVE_INFINITY);
      expect(groupMemory(16 * GiB, read)).toBeUndefined();
    }
  });

  describe('of version 1', () => {
    const mountinfo = (root: string) =>
      [
        '22 27 0:21 / /proc rw,relatime - proc proc rw',
        `33 31 0:29 ${root} /sys/fs/cgroup/cpu,cpuacct ro,nosuid master:9 - cgroup cgroup rw,cpu,cpuacct`,
        `34 31 0:30 ${root} /sys/fs/cgroup/cpuset ro,nosuid - cgroup cgroup rw,cpuset`,
        `35 31 0:31 ${root} /sys/fs/my\\040groups ro,nosuid - cgroup cgroup rw,memory`,
        '41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw',
      ].join('\n');
    const own = (path: string) => `5:cpuset:/\n4:memory:${path}\n3:cpu,cpuacct:${path}\n1:name=systemd:${path}\n0::/\n`;
    const limits = (group: string, gib: number, cpus: number) => ({
      [`/sys/fs/cgroup/cpu,cpuacct${group}/cpu.cfs_quota_us`]: `${cpus < 0 ? -1 : cpus * 1e5}\n`,
      [`/sys/fs/cgroup/cpu,cpuacct${group}/cpu.cfs_period_us`]: '100000\n',
      [`/sys/fs/my groups${group}/memory.limit_in_bytes`]: gib < 0 ? '9223372036854771712\n' : `${gib * GiB}\n`,
      [`/sys/fs/my groups${group}/memory.stat`]: `cache ${GiB}\nrss 0\ntotal_cache ${GiB}\ntotal_rss ${GiB / 2}\n`,
    });

    it.each([
      ['a container', '/docker/1', '/docker/1'],
      ['a container that is shown no others', '/', '/'],
      ['a group that the container does not show', '/docker/1', '/docker/2/a'],
      ['a group whose name begins as the container’s', '/docker/1', '/docker/12/a'],
      ['a group above the container', '/', '/../a'],
    ])('limit a process in %s', (_, root, path) => {
      const read = reader({
        '/proc/self/cgroup': own(path),
        '/proc/self/mountinfo': mountinfo(root),
        ...limits('', 32, 2.5),
        ...limits('/a', 1, 1), // another's
        ...limits('/2/a', 1, 1),
      });
      expect(groupCpus(read)).toBe(3);
      expect(groupMemory(16 * GiB, read)).toEqual({ limit: 32 * GiB, free: 31.5 * GiB });
    });

    it.each([
      ['/', '/a/b'],
      ['/docker/1', '/docker/1/a/b'],
    ])('limit a process by those that its own lies in, below %s', (root, path) => {
      const read = reader({
        '/proc/self/cgroup': own(path),
        '/proc/self/mountinfo': mountinfo(root),
        ...limits('', -1, -1),
        ...limits('/a', 8, 4),
        ...limits('/a/b', 24, 6),
      });
      expect(groupCpus(read)).toBe(4);
      expect(groupMemory(16 * GiB, read)).toEqual({ limit: 8 * GiB, free: 7.5 * GiB });
    });

    it('limit nothing where no file says so', () => {
      const files = { '/proc/self/cgroup': own('/'), '/proc/self/mountinfo': mountinfo('/') };
      for (const read of [reader(files), reader({ ...files, ...limits('', -1, -1) })]) {
        expect(groupCpus(read)).toBe(Number.POSITIVE_INFINITY);
        expect(groupMemory(16 * GiB, read)).toBeUndefined();
      }
    });
  });
});
