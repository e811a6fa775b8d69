import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { loadEngine } from '../../src/engine/load.js';
import { layOut } from '../../src/loading/layout.js';
import { folderSource } from '../../src/loading/source.js';
import type { GenerateOptions, LoadOptions } from '../../src/options.js';
import {
  calibrationKey,
  entryFile,
  forgetRates,
  inPeace,
  recallRates,
  rememberRates,
} from '../../src/pace/calibration.js';
import { widened } from '../../src/pace/measure.js';
import type { Rates } from '../../src/pace/rates.js';

const MODEL = 'models/mini-mixtral';
const DAY = 24 * 3600 * 1000;

const rates: Rates = {
  experts: {
    calls: { resident: 0.01, streamed: 0.1, cpu: 0.05 },
    cpu: [{ tokens: 1, ms: 0.25 }],
    accelerator: [{ tokens: 1, ms: 0.05 }],
    copy: 0.75,
    overlap: true,
    contention: { cpu: 1.25, copy: 1.5 },
    spread: 0.05,
  },
  sparse: [{ tokens: 1, past: 0, ms: 0.1 }],
  dense: [],
  begin: [{ tokens: 1, past: 0, ms: 0.02 }],
  between: [{ tokens: 1, past: 128, ms: 0.01 }],
  first: 5,
  head: 0.5,
  heads: [],
  fill: 100,
};

describe('stored rates', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'fiddler-test-'));
    return () => rmSync(folder, { recursive: true, force: true });
  });

  it('are found again under their key alone', () => {
    expect(recallRates('a', folder)).toBeUndefined();
    expect(rememberRates('a', rates, folder)).toBe(true);
    expect(recallRates('a', folder)).toEqual(rates);
    expect(recallRates('b', folder)).toBeUndefined();
    forgetRates('a', folder);
    expect(recallRates('a', folder)).toBeUndefined();
  });

  it('are measured again after 30 days, or where the clock was turned back', () => {
    const now = Date.now();
    rememberRates('a', rates, folder, now);
    expect(recallRates('a', folder, now + 29 * DAY)).toEqual(rates);
    expect(recallRates('a', folder, now + 31 * DAY)).toBeUndefined();
    expect(recallRates('a', folder, now - DAY)).toBeUndefined();
  });

  it('that differed too much are not kept', () => {
    expect(rememberRates('a', { ...rates, experts: { ...rates.experts, spread: 0.6 } }, folder)).toBe(false);
    expect(recallRates('a', folder)).toBeUndefined();
  });

  it('that others spoilt are not kept, and say by how much they may be wrong', () => {
    expect(widened(rates, 0.05, 3)).toBe(rates);
    const spoilt = widened(rates, 0.5, 3);
    expect(spoilt).toMatchObject({ crowded: 0.5, experts: { ...rates.experts, spread: 2 } });
    expect(widened(rates, 0.75, 1).experts.spread).toBe(3); // a quarter of the cores makes it four times as slow
    expect(rememberRates('a', spoilt, folder)).toBe(false);
    expect(recallRates('a', folder)).toBeUndefined();
  });

  it('that others spoilt are measured once more, a while later, and the better ones taken', () => {
    const spoilt = (spread: number, crowded?: number): Rates => ({
      ...rates,
      experts: { ...rates.experts, spread },
      crowded,
    });
    const measured = (...results: Rates[]) => {
      const done: string[] = [];
      const measure = () => {
        done.push('measured');
        return results.shift()!;
      };
      const taken = inPeace(measure, () => done.push('waited'));
      return { taken, done };
    };
    const [light, heavy, unsteady] = [spoilt(1, 0.5), spoilt(4, 0.8), spoilt(0.6)];
    expect(measured(rates)).toEqual({ taken: rates, done: ['measured'] });
    const twice = ['measured', 'waited', 'measured'];
    expect(measured(heavy, rates)).toEqual({ taken: rates, done: twice });
    expect(measured(unsteady, rates)).toEqual({ taken: rates, done: twice });
    expect(measured(heavy, light)).toEqual({ taken: light, done: twice });
    expect(measured(light, heavy)).toEqual({ taken: light, done: twice });
  });

  it.each([
    ['nothing', ''],
    ['half a file', '{"key": "a", "time": 1'],
    ['another form', JSON.stringify({ key: 'a', time: Date.now(), rates: { cpu: 1 } })],
    ['absurd times', JSON.stringify({ key: 'a', time: Date.now(), rates: { ...rates, head: -1 } })],
  ])('of %s are as good as none', (_, text) => {
    const file = entryFile('a', folder);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
    expect(recallRates('a', folder)).toBeUndefined();
  });

  it('need no folder that can be written', () => {
    const file = join(folder, 'a file');
    writeFileSync(file, '');
    expect(() => rememberRates('a', rates, file)).not.toThrow();
    expect(recallRates('a', file)).toBeUndefined();
    expect(() => forgetRates('a', file)).not.toThrow();
  });
});

describe('the rates of a load', () => {
  const before = process.env.FIDDLER_CACHE;
  beforeAll(() => {
    process.env.FIDDLER_CACHE = mkdtempSync(join(tmpdir(), 'fiddler-test-'));
  });
  afterAll(() => {
    rmSync(process.env.FIDDLER_CACHE!, { recursive: true, force: true });
    process.env.FIDDLER_CACHE = before;
  });

  const options: LoadOptions = { accelerator: 'host', expertsResident: 0.5, threads: 1, ctx: 256, profile: false };
  const keyOf = (change: LoadOptions) => {
    const layout = layOut(folderSource(MODEL), { ...options, ...change }, { countsOnly: true });
    try {
      return calibrationKey(layout);
    } finally {
      layout.close();
    }
  };

  it('are kept apart by what they depend on, and by nothing else', () => {
    const key = keyOf({});
    expect(keyOf({ ctx: 128, expertsResident: 0.25, policy: 'static' })).toBe(key);
    for (const change of [{ cpuKernels: 'native' }, { dtype: 'f32' }, { accelerator: 'none' }] as LoadOptions[]) {
      expect(keyOf(change)).not.toBe(key);
    }
  });

  it('are measured, or taken where they are stored, and forgotten where the model turns out much faster', () => {
    const key = keyOf({});
    const generate = (maxTokens: number) => {
      const session = loadEngine(MODEL, options);
      const { costs } = session;
      const run = (options: GenerateOptions) =>
        session.generate(
          [5, 6, 7],
          options,
          () => false,
          () => false,
        );
      const { expected } = run({ maxTokens, seed: 1, expected: true });
      expect(run({ maxTokens: 2 }).expected).toBeUndefined();
      session.close();
      return { costs, expected };
    };
    const measured = generate(8); // too few tokens to disprove what was measured on a busy machine
    expect(measured.costs.copy).toBeLessThan(1234);
    expect(measured.expected!.decodeRate.value).toBeGreaterThan(0.01);
    rememberRates(key, { ...rates, head: 1e5, experts: { ...rates.experts, copy: 1234 } });
    const { costs, expected } = generate(32);
    expect(costs.copy).toBe(1234);
    expect(expected!.decodeRate.value).toBeLessThan(0.01);
    expect(recallRates(key)).toBeUndefined();
  });
});
