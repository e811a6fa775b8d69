import hooks from 'node:perf_hooks';
import { expect, it, onTestFinished, vi } from 'vitest';
import { Admission } from '../../src/server/admission.js';
import { Metrics } from '../../src/server/metrics.js';

it('what is measured wakes no server that waits', async () => {
  const monitor = vi.spyOn(hooks, 'monitorEventLoopDelay');
  onTestFinished(() => monitor.mockRestore());
  const { registry } = new Metrics(new Admission(1, 1));
  const often = monitor.mock.calls.filter(([options]) => (options?.resolution ?? 10) < 60_000);
  expect(monitor).toHaveBeenCalled();
  expect(often).toEqual([]);
  const told = await registry.metrics();
  expect(told).toContain('process_resident_memory_bytes');
  expect(told).not.toMatch(/eventloop_lag_(mean|p99)/); // nothing was measured for them
});
