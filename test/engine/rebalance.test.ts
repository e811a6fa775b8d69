import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { loadEngine } from '../../src/engine/load.js';
import { Exchanges } from '../../src/experts/exchanges.js';
import { Experts } from '../../src/experts/experts.js';
import { POLICIES } from '../../src/experts/policies/index.js';
import { loadExpertKernels } from '../../src/native/kernels.js';
import { temporaryFolder } from '../support/folder.js';
import { writeBlocks } from '../support/synthetic-gguf.js';
import { expectSameTokens, expectSameTokensWherever } from './rebalance.js';

const HOST = { accelerator: 'host', expertsResident: 0.25, ctx: 256, threads: 1 } as const;

afterEach(() => vi.restoreAllMocks());

describe('exchanging experts while running', () => {
  it.each(POLICIES.map(({ name }) => name))('changes no token, policy %s', (policy) => {
    expectSameTokens('test/golden/mixtral', { ...HOST, dtype: 'f32', policy });
  });

  it('changes none with a cache of streamed experts and prefetch', () => {
    expectSameTokens('test/golden/mixtral', { ...HOST, dtype: 'f32', policy: 'lru', expertCache: 60_000 });
  });

  it('changes none where experts lie in the mapped files', () => {
    // In bf16 a tie of the twelfth prompt turns with where experts lie, whatever is exchanged.
    expectSameTokens('models/mini-mixtral', { ...HOST, policy: 'static' }, 11);
  });

  it('changes none where experts have biases', () => {
    expectSameTokens('test/golden/gpt_oss', { ...HOST, dtype: 'f32' });
  });

  it.skipIf(!loadExpertKernels())('changes none where the native kernels compute', () => {
    expectSameTokens('test/golden/mixtral', { ...HOST, dtype: 'f32', cpuKernels: 'native', policy: 'static' });
  });
});

describe('experts that come and go', () => {
  it.each(POLICIES.map(({ name }) => name))('give the same tokens wherever they lie, policy %s', (policy) => {
    expectSameTokensWherever('test/golden/mixtral', { ...HOST, dtype: 'f32', policy });
  });

  it('give them from the mapped files', () => {
    expectSameTokensWherever('models/mini-mixtral', { ...HOST, policy: 'static' }, 10);
  });

  it('give them with biases', () => {
    expectSameTokensWherever('test/golden/gpt_oss', { ...HOST, dtype: 'f32' }, 20);
  });

  it.skipIf(!loadExpertKernels())('give them by the native kernels', () => {
    expectSameTokensWherever('test/golden/mixtral', { ...HOST, dtype: 'f32', cpuKernels: 'native', policy: 'static' });
  });
});

describe('beside a call', () => {
  it('exchanges are made, none of them of the layer that the accelerator may compute or the next', () => {
    let busy: number | undefined;
    let made = 0;
    const { run } = Experts.prototype;
    const { queue } = Exchanges.prototype;
    let layers = 0;
    vi.spyOn(Experts.prototype, 'run').mockImplementation(function (this: Experts, routes) {
      busy = routes.layer;
      layers = this.statistics.popularity.length;
      run.call(this, routes);
    });
    vi.spyOn(Exchanges.prototype, 'queue').mockImplementation(function (this: Exchanges, found) {
      if (busy !== undefined) {
        made++;
        expect(found.layer).not.toBe(busy);
        if (layers > 2) expect(found.layer).not.toBe((busy + 1) % layers);
      }
      queue.call(this, found);
    });
    expectSameTokens('test/golden/mixtral', { ...HOST, dtype: 'f32' });
    expect(made).toBeGreaterThan(1);
  });
});

describe('rebalancing', () => {
  it.each([0, 1])('leaves a model alone of which a share of %i is resident, and says so', (expertsResident) => {
    const warnings: string[] = [];
    const onWarning = (line: string) => warnings.push(line);
    const session = loadEngine('test/golden/mixtral', { ...HOST, expertsResident, rebalance: true, onWarning });
    const never = () => false;
    expect(session.generate([1, 2, 3], { temperature: 0, maxTokens: 40 }, never, never).experts.exchanged).toBe(0);
    expect(warnings).toEqual([expect.stringContaining('nothing to rebalance')]);
    session.close();
  });

  it('leaves a model of one layer alone: nothing else is computed while its experts would be exchanged', () => {
    const file = join(temporaryFolder(), 'model.gguf');
    writeBlocks(file, { layers: 1, hidden: 256, width: 256, experts: 8, vocabulary: 256 });
    const warnings: string[] = [];
    const session = loadEngine(file, { ...HOST, profile: false, rebalance: true, onWarning: (w) => warnings.push(w) });
    expect(warnings).toEqual([expect.stringContaining('nothing to rebalance')]);
    session.close();
  });
});
