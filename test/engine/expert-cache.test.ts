import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadEngine } from '../../src/engine/load.js';
import type { Workbench } from '../../src/engine/workbench.js';
import { NO_COSTS } from '../../src/experts/costs.js';
import { POLICIES, policyNamed } from '../../src/experts/policies/index.js';
import type { Costs } from '../../src/experts/policy.js';
import type { LoadOptions } from '../../src/options.js';
import type { Report } from '../../src/report.js';
import { fiddlerError } from '../support/errors.js';
import { parseBytes } from '../support/sizes.js';

const never = () => false;
/** With these, `lanes` and `fiddler` use more than one lane. */
const COSTS: Costs = {
  ...NO_COSTS,
  cpu: () => 1,
  copy: 0.8,
  accelerator: () => 0.1,
  overlap: true,
};

function generate(session: Workbench, prompt: readonly number[], maxTokens: number, cancelled = never) {
  const tokens: number[] = [];
  const options = { temperature: 0, maxTokens };
  const report = session.generate(prompt, options, (token) => tokens.push(token) < 0, cancelled);
  return { tokens, report };
}

/** The same from an empty KV cache. */
function generateAnew(session: Workbench, prompt: readonly number[], maxTokens: number) {
  session.score([5], 0, () => {}, never);
  return generate(session, prompt, maxTokens);
}

const EXPERTS = { 'test/golden/mixtral': 16, 'models/mini-mixtral': 48 };

describe.each(['test/golden/mixtral', 'models/mini-mixtral'] as const)('%s', (model) => {
  const prompt = [11, 12, 13, 14, 15, 11, 12, 13, 14, 15];
  const load = (options: LoadOptions) => loadEngine(model, { dtype: 'f32', ctx: 64, threads: 1, ...options });
  let expected: number[];
  let bytes: number;
  beforeAll(() => {
    const session = load({ accelerator: 'none' });
    bytes = session.expertBytes;
    expected = generate(session, prompt, 12).tokens;
    session.close();
  });

  /** Experts that the cache holds beside the slots that are always there. */
  const caches = [0, 3, EXPERTS[model]];
  const settings = caches.flatMap((experts) => [false, true].map((prefetch) => [experts, prefetch] as const));

  describe.each(settings)('with a cache of %i experts and prefetch %s', (experts, prefetch) => {
    let session: Workbench;
    beforeAll(() => {
      session = load({ accelerator: 'host', expertsResident: 0.25, expertCache: experts * bytes, prefetch });
    });
    afterAll(() => session.close());

    it.each(POLICIES.map(({ name }) => name))('%s gives the same tokens, twice', (name) => {
      session.use(policyNamed(name), COSTS);
      const first = generateAnew(session, prompt, 12);
      const again = generateAnew(session, prompt, 12);
      expect(first.tokens).toEqual(expected);
      expect(again.tokens).toEqual(expected);
      expectCounted(first.report);
      expectCounted(again.report);
      if (!policyNamed(name).streams) return expect(again.report.cache.hits).toBe(0);
      if (experts === EXPERTS[model]) expect(again.report.cache.hits).toBeGreaterThan(0);
    });

    /** Each copy is of a streamed expert, or part of one, that was not in the cache, or was made ahead. */
    function expectCounted({ lanes, cache, experts }: Report): void {
      const { hits, usefulPrefetches, wastedPrefetches } = cache;
      const copied = lanes.streamed.experts - hits + usefulPrefetches + wastedPrefetches;
      expect(lanes.streamed.bytes / bytes).toBeCloseTo(copied, 6);
      expect(usefulPrefetches).toBeLessThanOrEqual(hits);
      if (!prefetch) expect(usefulPrefetches + wastedPrefetches).toBe(0);
      const all = lanes.resident.experts + lanes.streamed.experts + lanes.cpu.experts;
      expect(experts.hitRate).toBeCloseTo((lanes.resident.experts + hits) / all, 12);
    }
  });

  it('copies nothing a second time where the cache holds all', () => {
    const session = load({ accelerator: 'host', expertsResident: 0.25, expertCache: 1e9, policy: 'stream' });
    generate(session, prompt, 12);
    const { report } = generateAnew(session, prompt, 12);
    expect(report.lanes.streamed.experts).toBeGreaterThan(10);
    expect(report.cache.hits).toBe(report.lanes.streamed.experts);
    expect(report.lanes.streamed.bytes).toBe(0);
    session.close();
  });

  it('is copied ahead by the policy lru, unless that is switched off', () => {
    for (const prefetch of [undefined, false]) {
      const session = load({ accelerator: 'host', expertsResident: 0, policy: 'lru', prefetch });
      const { cache, lanes } = generate(session, prompt, 12).report;
      expect(cache.usefulPrefetches > 0).toBe(prefetch === undefined);
      expect(lanes.cpu.experts).toBe(0);
      session.close();
    }
  });

  it('leaves a generation that was cut short between layers without effect on the next', () => {
    const session = load({ accelerator: 'host', expertsResident: 0, policy: 'lru' });
    for (let calls = 3; calls < 9; calls++) {
      let asked = 0;
      generate(session, [7, 8, 9], 12, () => ++asked >= calls);
      expect(generateAnew(session, prompt, 12).tokens).toEqual(expected);
    }
    session.close();
  });
});

describe('the memory of the expert cache', () => {
  const load = (options: LoadOptions) =>
    loadEngine('models/mini-mixtral', { accelerator: 'host', policy: 'stream', ctx: 64, threads: 1, ...options });
  let bytes: number;
  /** Holds all but this many experts. */
  const MISSING = 20;
  let gpuMemory: number;
  beforeAll(() => {
    const session = load({});
    expect(session.info.experts.resident).toBe(session.info.experts.total);
    bytes = session.expertBytes;
    gpuMemory = session.info.memory.accelerator - MISSING * bytes;
    session.close();
  });

  it('is taken within the budget, before resident experts are placed', () => {
    const infoOf = (options: LoadOptions) => {
      const session = load({ gpuMemory, ...options });
      session.close();
      return session.info;
    };
    const { experts } = infoOf({});
    expect(experts.resident).toBe(experts.total - MISSING);
    const cached = infoOf({ expertCache: 4.5 * bytes });
    expect(cached.experts.resident).toBe(experts.resident - 4);
    expect(cached.memory.accelerator).toBeLessThanOrEqual(gpuMemory);
  });

  it('is refused where it does not fit, and where it holds no expert', () => {
    const message = fiddlerError('memory', () => load({ gpuMemory, expertCache: 40 * bytes }));
    expect(message).toContain('--expert-cache');
    const left = parseBytes(message.match(/: ([^:]+) of its budget/)![1]!);
    fiddlerError('memory', () => load({ gpuMemory, expertCache: left + 2 * bytes }));
    load({ gpuMemory, expertCache: left - bytes }).close();
    expect(fiddlerError('usage', () => load({ expertCache: 1000 }))).toContain('holds no expert');
  });

  it('is not taken where no expert is streamed, which is said', () => {
    const warnings: string[] = [];
    const onWarning = (line: string) => warnings.push(line);
    load({ policy: 'static', expertCache: 1e9, gpuMemory, onWarning }).close();
    load({ accelerator: 'none', prefetch: true, onWarning }).close();
    load({ expertsResident: 1, expertCache: 1e9, onWarning }).close();
    expect(warnings).toHaveLength(3);
    for (const line of warnings) expect(line).toContain('expert cache');
  });
});
