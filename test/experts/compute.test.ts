import { afterEach, expect, it, vi } from 'vitest';
import type { Device } from '../../src/devices/device.js';
import { Assignments } from '../../src/experts/assignments.js';
import type { ExpertIo, PlacedExpert } from '../../src/experts/expert.js';
import { ExpertCompute } from '../../src/experts/lanes/compute.js';
import { ExpertGraphs } from '../../src/experts/lanes/graphs.js';

afterEach(() => void vi.restoreAllMocks());

it('graphs of an expert that comes or goes are looked for only where there may be some', () => {
  for (const name of ['runForOne', 'runForRows', 'run'] as const) {
    vi.spyOn(ExpertGraphs.prototype, name).mockImplementation(() => {});
  }
  const forget = vi.spyOn(ExpertGraphs.prototype, 'forget');
  const compute = new ExpertCompute({} as Device, {} as ExpertIo);
  const assignments = new Assignments(32, 64);
  const run = (expert: number, tokens: number) => {
    const share = { expert, tokens, lane: 'resident' as const };
    compute.run(3, share, {} as PlacedExpert, 'silu', { assignments, tokens });
  };
  run(2, 1);
  run(4, 16);
  run(5, 64); // serves one call
  for (const expert of [2, 4, 5, 22, 2]) compute.forget(3, expert);
  compute.forget(1, 2);
  expect(forget.mock.calls).toEqual([['3.2 '], ['3.4 ']]);
});
