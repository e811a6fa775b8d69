import { expect, it } from 'vitest';
import { TimedCalls } from '../../src/experts/timed-calls.js';

/** Numbers of the calls that are timed, and for what. */
function timedOf(calls: TimedCalls, count: number, layers: number): (readonly [call: number, lane: string])[] {
  return Array.from({ length: count }, (_, i) => [i, calls.next(i % layers)] as const).flatMap(([i, lane]) =>
    lane ? [[i, lane] as const] : [],
  );
}

it.each([1, 12, 16, 36, 48, 61])(
  'each of %i layers is timed for both lanes, also when calls are timed seldom',
  (layers) => {
    const seldom = 350;
    const seen = timedOf(new TimedCalls(), seldom + 2 * 29 * layers, layers);
    const later = seen.filter(([call]) => call >= seldom).map(([call, lane]) => `${call % layers} ${lane}`);
    expect(new Set(later).size).toBe(2 * layers);
    for (const lane of ['cpu', 'accelerator']) {
      const share = seen.slice(0, 50).filter(([, timed]) => timed === lane).length;
      expect(share).toBeGreaterThanOrEqual(20);
    }
  },
);

it('calls are timed every seventh time at first, later every 29th, and as at first once that is forgotten', () => {
  const calls = new TimedCalls();
  const seen = timedOf(calls, 5000, 48);
  expect(seen.slice(0, 3)).toEqual([
    [0, 'cpu'],
    [7, 'accelerator'],
    [14, 'cpu'],
  ]);
  expect(seen.at(-1)![0] - seen.at(-2)![0]).toBe(29);
  calls.forget();
  expect(timedOf(calls, 8, 48)).toEqual(seen.slice(0, 2));
});
