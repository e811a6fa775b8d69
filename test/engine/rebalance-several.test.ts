import { afterEach, expect, it, vi } from 'vitest';
import { Exchanges } from '../../src/experts/exchanges.js';
import { Rebalancer } from '../../src/experts/rebalance.js';
import { expectSameTokens } from './rebalance.js';

// As where a token chooses 9 to 16 experts, which no small model does.
vi.mock('../../src/experts/exchange.js', async (original) => ({ ...(await original<object>()), exchangesOf: () => 2 }));
// Two at once are rare where they cost something.
vi.mock('../../src/experts/exchange-costs.js', () => ({ exchangeCosts: () => () => ({ saved: 0.1, exchange: 0 }) }));
afterEach(() => vi.restoreAllMocks());

const HOST = { accelerator: 'host', expertsResident: 0.25, ctx: 256, threads: 1 } as const;

it.each([
  ['copies', 'test/golden/olmoe', { dtype: 'f32' }],
  ['the mapped files', 'models/mini-mixtral', { policy: 'static' }],
] as const)('two experts of a layer are exchanged behind a call, and no token changes: %s', (_, model, options) => {
  const made: number[] = [];
  const { queue } = Exchanges.prototype;
  const { follow } = Rebalancer.prototype;
  vi.spyOn(Rebalancer.prototype, 'follow').mockImplementation(function (this: Rebalancer, layer) {
    made.push(0);
    follow.call(this, layer);
  });
  vi.spyOn(Exchanges.prototype, 'queue').mockImplementation(function (this: Exchanges, found) {
    if (made.length > 0) made[made.length - 1]!++;
    queue.call(this, found);
  });
  expectSameTokens(model, { ...HOST, ...options }, 11);
  expect(Math.max(...made)).toBe(2);
});
