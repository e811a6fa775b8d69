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
});
