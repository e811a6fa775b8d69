import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LearntCosts } from '../../src/experts/adaptation.js';
import { laneTimes, makespan, NO_COSTS } from '../../src/experts/costs.js';
import { lanesPolicy } from '../../src/experts/policies/lanes.js';
import { byLane, type Costs, type Share } from '../../src/experts/policy.js';

const WIDTH = 4096;
const alone = { cpuMs: 3, copyMs: 6.5 };
const measured: Costs = {
  ...NO_COSTS,
  cpu: () => alone.cpuMs,
  copy: alone.copyMs,
  accelerator: () => 0.03,
  overlap: true,
};
const demand = [0, 1].map((expert) => ({ expert, tokens: 1, resident: false, cached: false }));

/** What a machine on which the lanes slow each other down shows of a plan. */
function times(plan: readonly Share[], contention: Costs['contention']) {
  const part = (lane: Share['lane']) =>
    plan
      .filter((s) => s.lane === lane)
      .reduce((sum, s) => sum + (s.range ? (s.range.to - s.range.from) / WIDTH : 1), 0);
  const both = part('cpu') > 0 && part('streamed') > 0;
  const cpu = part('cpu') * alone.cpuMs * (both ? contention.cpu : 1);
  const copies = part('streamed') * alone.copyMs * (both ? contention.copy : 1);
  const end = Math.max(cpu, copies);
  return { cpu, streamed: end, resident: end, streamedLast: copies > cpu, acceleratorFirst: false };
}

describe('costs that are corrected while running', () => {
  it('lead to a plan whose slowest lane is near the best that the machine allows', () => {
    const slower = fc.double({ min: 1, max: 2.5, noNaN: true });
    fc.assert(
      fc.property(slower, slower, (cpu, copy) => {
        const contention = { cpu, copy };
        const costs = new LearntCosts();
        costs.set(measured, true);
        let plan: Share[] = [];
        for (let call = 0; call < 150; call++) {
          plan = lanesPolicy.decide(demand, costs.for(1), WIDTH);
          const lanes = byLane(plan);
          costs.learn(lanes, WIDTH, 1, times(plan, contention));
        }
        const truth = { ...measured, contention };
        const best = makespan(lanesPolicy.decide(demand, truth, WIDTH), truth, WIDTH);
        expect(makespan(plan, truth, WIDTH)).toBeLessThanOrEqual(best * 1.08);
      }),
    );
  });

  it('keep what calls of several tokens show apart from calls of one', () => {
    const costs = new LearntCosts();
    costs.set(measured, true);
    const plan = lanesPolicy.decide(demand, costs.for(1), WIDTH);
    const lanes = byLane(plan);
    costs.learn(lanes, WIDTH, 1, times(plan, { cpu: 2, copy: 1 }));
    expect(costs.for(1).contention.cpu).toBeGreaterThan(1.1);
    expect(costs.for(8).contention.cpu).toBe(1);
  });

  it('keep what calls of one policy show from another', () => {
    const costs = new LearntCosts();
    costs.set(measured, true);
    const plan = lanesPolicy.decide(demand, costs.for(1), WIDTH);
    costs.use('lanes');
    costs.learn(byLane(plan), WIDTH, 1, times(plan, { cpu: 2, copy: 1 }));
    const learnt = costs.for(1).contention;
    costs.use('static');
    expect(costs.for(1).contention).toMatchObject(measured.contention);
    costs.use('lanes');
    expect(costs.for(1).contention).toEqual(learnt);
    expect(learnt.cpu).toBeGreaterThan(1.1);
  });

  it('stay as they were set where nothing is to be learnt', () => {
    const costs = new LearntCosts();
    costs.set(measured, false);
    const plan = lanesPolicy.decide(demand, costs.for(1), WIDTH);
    const lanes = byLane(plan);
    costs.learn(lanes, WIDTH, 1, times(plan, { cpu: 2, copy: 2 }));
    expect(costs.for(1)).toBe(measured);
  });

  it('try again what was believed to be too slow, so that a false belief does not last', () => {
    const costs = new LearntCosts();
    costs.set({ ...measured, contention: { cpu: 4, copy: 4 } }, true);
    const real = { cpu: 1.1, copy: 1.2 };
    let both = 0;
    for (let call = 0; call < 8000; call++) {
      const plan = lanesPolicy.decide(demand, costs.for(1), WIDTH);
      const lanes = byLane(plan);
      costs.planned(lanes, 1);
      if (call % 8 === 0) costs.learn(lanes, WIDTH, 1, times(plan, real));
      if (call >= 7000 && lanes.cpu.length > 0 && lanes.streamed.length > 0) both++;
    }
    expect(both).toBeGreaterThan(950);
  });

  it('give the accelerator what it has time for, where its costs were measured too high', () => {
    const slow: Costs = { ...measured, cpu: () => 3, copy: 0.5, accelerator: () => 4 };
    const truth = { ...slow, accelerator: () => 0.4 };
    const many = Array.from({ length: 12 }, (_, expert) => ({ expert, tokens: 64, resident: false, cached: false }));
    const costs = new LearntCosts();
    costs.set(slow, true);
    let plan: Share[] = [];
    for (let call = 0; call < 150; call++) {
      plan = lanesPolicy.decide(many, costs.for(64), WIDTH);
      const { cpu, streamed, copies } = laneTimes(plan, truth, WIDTH);
      const acceleratorFirst = call % 2 === 0;
      const copied = acceleratorFirst ? copies : Math.max(cpu, copies);
      const resident = Math.max(copied, streamed);
      const seen = { cpu: Math.max(cpu, acceleratorFirst ? resident : 0), streamed: copied, resident };
      costs.learn(byLane(plan), WIDTH, 64, { ...seen, streamedLast: copies > cpu, acceleratorFirst });
    }
    const best = makespan(lanesPolicy.decide(many, truth, WIDTH), truth, WIDTH);
    expect(makespan(lanesPolicy.decide(many, slow, WIDTH), truth, WIDTH)).toBeGreaterThan(best * 1.5);
    expect(makespan(plan, truth, WIDTH)).toBeLessThanOrEqual(best * 1.1);
  });

  it('leave the stream alone where what comes is computed too late', () => {
    const small: Costs = { ...measured, cpu: () => 0.03, copy: 0.05, accelerator: () => 0.005 };
    const tail = 0.2;
    const four = [0, 1, 2, 3].map((expert) => ({ expert, tokens: 1, resident: false, cached: false }));
    const costs = new LearntCosts();
    costs.set(small, true);
    const plan = () => lanesPolicy.decide(four, costs.for(1), WIDTH);
    expect(byLane(plan()).streamed).not.toEqual([]);
    let streamed = 0;
    for (let call = 0; call < 400; call++) {
      const lanes = byLane(plan());
      if (lanes.streamed.length > 0) streamed++;
      const { cpu, copies } = laneTimes(plan(), small, WIDTH);
      costs.planned(lanes, 1);
      const seen = { cpu, streamed: Math.max(cpu, copies), resident: Math.max(cpu, copies + tail) };
      costs.learn(lanes, WIDTH, 1, { ...seen, streamedLast: copies > cpu, acceleratorFirst: false });
    }
    expect(streamed).toBeLessThan(40);
  });

  it('know what the CPU takes alone, so that it does not look faster beside copies', () => {
    const costs = new LearntCosts();
    costs.set({ ...measured, copy: 1000 }, true);
    for (let call = 0; call < 100; call++) {
      const lanes = byLane(lanesPolicy.decide(demand, costs.for(1), WIDTH));
      expect(lanes.streamed).toEqual([]);
      const cpu = 2 * alone.cpuMs * 0.7;
      costs.learn(lanes, WIDTH, 1, { cpu, streamed: 0, resident: 0, streamedLast: false, acceleratorFirst: false });
    }
    expect(costs.for(1).cpu(1) / alone.cpuMs).toBeCloseTo(0.7, 1);
    expect(costs.for(8).cpu(1)).toBe(alone.cpuMs);
  });
});
