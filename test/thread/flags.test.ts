import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CallFlags, type Flag } from '../../src/thread/flags.js';

describe('flags of calls', () => {
  it('are seen by the other side, each call its own, whatever calls come and go', () => {
    const step = fc.oneof(
      fc.constant({ do: 'begin' as const }),
      fc.record({ do: fc.constant('end' as const), which: fc.nat() }),
      fc.record({
        do: fc.constant('set' as const),
        which: fc.nat(),
        flag: fc.constantFrom<Flag>('ends', 'rests'),
        up: fc.boolean(),
      }),
    );
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 400, size: 'max' }), (steps) => {
        const there = new CallFlags();
        const here = new CallFlags((memory) => there.add(memory));
        const running: { place: number; ends: boolean; rests: boolean }[] = [];
        for (const each of steps) {
          const at = 'which' in each ? each.which % Math.max(1, running.length) : 0;
          if (each.do === 'begin') running.push({ place: here.take(), ends: false, rests: false });
          else if (each.do === 'end') for (const { place } of running.splice(at, 1)) here.release(place);
          else if (running[at]) {
            running[at][each.flag] = each.up;
            here.set(running[at].place, each.flag, each.up);
          }
          for (const { place, ends, rests } of running) {
            expect([there.isUp(place, 'ends'), there.isUp(place, 'rests')]).toEqual([ends, rests]);
          }
        }
      }),
      { numRuns: 30 },
    );
  });

  it('lie in as little memory as the calls that run at a time need', () => {
    const buffers: SharedArrayBuffer[] = [];
    const flags = new CallFlags((memory) => buffers.push(memory));
    for (let i = 0; i < 1000; i++) flags.release(flags.take());
    expect(buffers).toHaveLength(1);
    const places = Array.from({ length: 300 }, () => flags.take());
    expect(new Set(places).size).toBe(300);
    expect(buffers).toHaveLength(3);
  });
});
