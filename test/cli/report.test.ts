import { describe, expect, it } from 'vitest';
import { formatBytes, formatReport } from '../../src/cli/report.js';
import type { Report } from '../../src/report.js';

const REPORT: Report = {
  model: 'mini',
  accelerator: 'host',
  policy: 'stream',
  threads: 2,
  kernels: 'ggml',
  seed: 7,
  promptTokens: 12,
  cachedTokens: 4,
  generatedTokens: 20,
  finish: 'stop',
  ttft: 0.0304,
  prefillRate: 321.4,
  decodeRate: 45.678,
  experts: { resident: 12, total: 48, profiled: 0, types: 'Q4_K, down Q6_K', exchanged: 0, hitRate: 0.3125 },
  lanes: {
    resident: { experts: 75, bytes: 16_500_000, ms: 3.21 },
    streamed: { experts: 165, bytes: 36_300_000, ms: 9.87 },
    cpu: { experts: 1, bytes: 220_000, ms: 0.4 },
  },
  cache: { hits: 0, usefulPrefetches: 0, wastedPrefetches: 0 },
  memory: { accelerator: 5_000_000, ram: 11_000_000, taken: 16_000_000, planned: 125_000_000, peakRss: 123_000_000 },
};

describe('formatReport', () => {
  it('says everything, a line each', () => {
    expect(formatReport(REPORT)).toBe(
      [
        'model        mini on host, policy stream, 2 threads',
        'prefill      12 tokens, 4 of them cached, 321 tokens/s',
        'first token  after 30 ms',
        'decode       20 tokens, 45.68 tokens/s; a stop text came',
        'seed         7',
        'experts      12 of 48 resident, hit rate 31.3%; Q4_K, down Q6_K by ggml',
        '  resident        75 experts    16.5 MB       3.2 ms',
        '  streamed       165 experts    36.3 MB       9.9 ms',
        '  CPU              1 experts   220.0 kB       0.4 ms',
        'memory       accelerator 5.0 MB, weights in RAM 11.0 MB, peak resident set 123.0 MB of 125.0 MB planned',
        '',
      ].join('\n'),
    );
  });

  it('says what a cache and prefetching did, where there were any', () => {
    const cache = { hits: 12, usefulPrefetches: 5, wastedPrefetches: 2 };
    const text = formatReport({ ...REPORT, cache });
    expect(text).toMatch(/^ {2}cache +12 .*5 useful, 2 wasted$/m);
    expect(formatReport({ ...REPORT, cache: { ...cache, usefulPrefetches: 0, wastedPrefetches: 0 } })).not.toContain(
      'useful',
    );
  });

  it('leaves out of a scoring what only a generation has', () => {
    const text = formatReport({ ...REPORT, seed: undefined, generatedTokens: 0 });
    expect(text).not.toMatch(/decode|seed|first token/);
    expect(text).toContain('prefill');
  });
});

describe('formatBytes', () => {
  it.each([
    [0, '0 bytes'],
    [999, '999 bytes'],
    [1000, '1.0 kB'],
    [24e9, '24.0 GB'],
    [5e15, '5000.0 TB'],
  ])('%d is %s', (bytes, text) => expect(formatBytes(bytes)).toBe(text));
});
