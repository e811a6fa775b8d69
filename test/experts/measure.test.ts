import { afterEach, expect, it, vi } from 'vitest';
import type { Routes } from '../../src/experts/assignments.js';
import { costsOf } from '../../src/experts/costs.js';
import type { Experts } from '../../src/experts/experts.js';
import { measureExperts } from '../../src/experts/measure.js';
import { byLane, type Share } from '../../src/experts/policy.js';
import { QUICK } from '../../src/experts/repeat.js';
import type { ExpertsSpec } from '../../src/experts/spec.js';

const CHOSEN = 8;
const COUNT = 128;
const RESIDENT = 48;
const layers = [{ count: COUNT, chosen: CHOSEN, width: 64, hidden: 64 }] as unknown as ExpertsSpec[];

/** Milliseconds on a machine whose lanes work beside each other. */
const machine = {
  cpu: (tokens: number) => 0.05 + 0.003 * tokens,
  accelerator: (tokens: number) => 0.01 + 0.0005 * tokens,
  copy: 0.2,
  call: { cpu: 0.1, accelerator: 0.08 },
  contention: { cpu: 1.3, copy: 1.2 },
};

/** The experts of that machine, in time of its own; tells every call. */
function madeUp(onCall: (routes: Routes, plan: readonly Share[]) => void): Experts {
  let now = 0;
  let accelerator = 0;
  let queued = false; // graphs of several tokens, which the next call of the kind frees
  vi.spyOn(performance, 'now').mockImplementation(() => now);
  const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);
  const measure = (routes: Routes, plan: readonly Share[]) => {
    onCall(routes, plan);
    expect(queued).toBe(false);
    queued = routes.tokens > 1;
    const { cpu, streamed, resident } = byLane(plan);
    const both = cpu.length > 0 && streamed.length > 0;
    const computing = [...resident, ...streamed].reduce((sum, s) => sum + machine.accelerator(s.tokens), 0);
    const copies = streamed.length * machine.copy * (both ? machine.contention.copy : 1);
    const busy = resident.length + streamed.length > 0 ? machine.call.accelerator + Math.max(copies, computing) : 0;
    accelerator = Math.max(accelerator, now) + busy;
    const onCpu = cpu.reduce((sum, { tokens }) => sum + machine.cpu(tokens), 0);
    if (cpu.length > 0) now += (machine.call.cpu + onCpu) * (both ? machine.contention.cpu : 1);
    return plan;
  };
  const wait = () => {
    now = Math.max(now, accelerator);
    queued = false;
  };
  const resident = { of: () => numbers(0, RESIDENT), missing: () => numbers(RESIDENT, COUNT) };
  const found = { resident, measure, wait, offloads: true, overlaps: true, bytesOf: () => 2 ** 24 };
  return found as unknown as Experts;
}

afterEach(() => vi.restoreAllMocks());

it.each([64, 200, 2048])(
  'finds what lanes take by made-up calls of at most %i tokens, in which each expert has as many as it says',
  (chunk) => {
    let several = 0;
    const experts = madeUp((routes, plan) => {
      expect(routes.tokens).toBeLessThanOrEqual(chunk);
      const assigned = new Map<number, Set<number>>();
      routes.experts.forEach((expert, i) => {
        if (expert < 0) return;
        const tokens = assigned.get(expert);
        const token = Math.floor(i / CHOSEN);
        if (tokens) tokens.add(token);
        else assigned.set(expert, new Set([token]));
      });
      const all = [...assigned.values()].reduce((sum, tokens) => sum + tokens.size, 0);
      expect(all).toBe(routes.experts.filter((expert) => expert >= 0).length); // no token has one twice
      const routed = plan.filter(({ expert }) => assigned.has(expert));
      for (const { expert, tokens } of routed) expect(assigned.get(expert)!.size).toBe(tokens);
      if (routes.tokens > 1) expect(routed).toHaveLength(plan.length);
      const lanes = new Set(plan.map(({ lane }) => lane));
      if (routes.tokens > 1 && lanes.size === 1) several = Math.max(several, plan.length);
    });
    const rates = measureExperts(experts, layers, { chunk, streams: true }, QUICK);
    if (chunk > 200) expect(several).toBeGreaterThan(CHOSEN);
    const costs = costsOf(rates);
    for (const tokens of [1, 16, chunk > 200 ? 256 : 64]) {
      expect(costs.cpu(tokens)).toBeCloseTo(machine.cpu(tokens), 6);
      expect(costs.accelerator(tokens)).toBeCloseTo(machine.accelerator(tokens), 6);
    }
    expect(costs.calls.cpu).toBeCloseTo(machine.call.cpu, 6);
    expect(costs.copy).toBeCloseTo(machine.copy, 6);
    expect(costs.several!.copy).toBeCloseTo(machine.copy, 6);
    if (chunk < 200) return; // too few for both lanes
    expect(costs.several!.contention!.cpu).toBeCloseTo(machine.contention.cpu, 6);
    expect(costs.several!.contention!.copy).toBeCloseTo(machine.contention.copy, 1);
  },
);
