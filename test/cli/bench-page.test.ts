import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { schedule, ticks } from '../../src/cli/bench-charts.js';
import { benchPage } from '../../src/cli/bench-page.js';
import { prepareReport, writeReport } from '../../src/cli/bench-report.js';
import { type BenchResults, commandLine } from '../../src/cli/bench-results.js';
import type { Measurement } from '../../src/engine/benchmark.js';
import { fiddlerError } from '../support/errors.js';
import { temporaryFolder } from '../support/folder.js';

const POLICIES = ['lanes', 'fiddler', 'static'];

function measurement(policy: string, kind: Measurement['kind'], rate: number): Measurement {
  const tokens = kind === 'decode' ? 8 : 512;
  const seconds = { median: tokens / rate, min: tokens / rate / 1.5, max: (tokens / rate) * 2 };
  const lane = (experts: number) => ({ experts, bytes: experts * 1e6, ms: experts * 0.5 });
  const lanes = { resident: lane(12), streamed: lane(30.4), cpu: lane(0) };
  const saved = { hits: 1234, usefulPrefetches: 567, wastedPrefetches: 89 };
  const moved = { expertBytesPerSecond: 143e9, expertBytesPerToken: 143e9 / rate };
  return { kind, tokens, past: 128, policy, runs: 3, seconds, rate, lanes, saved, ...moved };
}

const RESULTS: BenchResults = {
  version: '1.2.3',
  model: 'mixtral-8x7b',
  hardware: {
    cpu: 'A CPU (R) 9000',
    cores: 16,
    ram: 128 * 2 ** 30,
    accelerator: { name: 'A GPU H200', memory: 139 * 2 ** 30 },
  },
  date: '2026-03-04T05:06:07.000Z',
  command: "fiddler bench --model 'my model'",
  loaded: { experts: '56 of 256 resident', 'one expert copied': '6.4 ms' },
  measurements: (['decode', 'prefill'] as const).flatMap((kind) =>
    POLICIES.map((policy, i) => measurement(policy, kind, 8.25 - i)),
  ),
  timelines: POLICIES.map((policy) => ({
    policy,
    together: 3.21,
    pieces: [
      { lane: 'copy', from: 0, to: 2 },
      { lane: 'streamed', from: 2, to: 2.25 },
      { lane: 'resident', from: 2.5, to: 2.75 },
      { lane: 'cpu', from: 3, to: 5.5 },
    ],
  })),
};

const ATTRIBUTES = /^(?:\s+[a-z][\w:-]*="[^"<]*")*$/i;
const ENTITY = /&(?!(?:amp|lt|gt|quot|#39);)/;

/** The texts of a page that is well-formed XML: every element is closed in order, all that is special is escaped. */
function textsOf(page: string): string[] {
  const [doctype, ...rest] = page.split('\n');
  expect(doctype).toBe('<!DOCTYPE html>');
  const open: string[] = [];
  const texts: string[] = [];
  const pieces = rest.join('\n').matchAll(/<(\/?)([a-z][a-z0-9]*)([^<>]*?)(\/?)>|([^<]+)|(<)/gi);
  for (const [whole, closing, name, attributes, empty, text, stray] of pieces) {
    expect(stray, whole).toBeUndefined();
    expect(whole).not.toMatch(ENTITY);
    if (text !== undefined) {
      if (open.at(-1) !== 'style') expect(text).not.toContain('>');
      if (text.trim() !== '') texts.push(text);
    } else if (closing) expect(name).toBe(open.pop());
    else {
      expect(attributes).toMatch(ATTRIBUTES);
      if (!empty) open.push(name!);
    }
  }
  expect(open).toEqual([]);
  return texts;
}

describe('the page of fiddler bench', () => {
  it('is well-formed and needs nothing from elsewhere', () => {
    const page = benchPage(RESULTS);
    textsOf(page);
    const addresses = [...page.matchAll(/[a-z]+:\/\/[^"'\s<]*/g)].map(([address]) => address);
    expect(new Set(addresses)).toEqual(new Set(['http://www.w3.org/1999/xhtml', 'http://www.w3.org/2000/svg']));
    expect(page).not.toMatch(/\b(?:src|href|url|import|data)\s*[=(]/);
    expect(page).not.toMatch(/<(?:script|link|img|iframe|object)\b/);
    expect(page).not.toMatch(/NaN|undefined|Infinity|\[object/);
    expect(page).toContain('prefers-color-scheme: dark');
  });

  it('says what was measured on what machine, when and how', () => {
    const page = benchPage(RESULTS);
    const title = page.match(/<title>(Fiddler.*)<\/title>/)![1];
    expect(title).toBe(
      'Fiddler benchmark: mixtral-8x7b on A GPU H200 (139 GiB), A CPU (R) 9000, 16 cores, 128 GiB of RAM, 2026-03-04 05:06 UTC, fiddler bench --model &#39;my model&#39;',
    );
    const texts = textsOf(page);
    for (const text of ['56 of 256 resident', 'one expert copied', 'Decode behind 128 tokens', 'Prefill of 512 tokens'])
      expect(texts).toContain(text);
    for (const unit of ['tokens/s', 'milliseconds per token', 'milliseconds per prompt', 'milliseconds'])
      expect(texts).toContain(unit);
  });

  it('draws every policy with its median, spread and timeline', () => {
    const texts = textsOf(benchPage(RESULTS));
    for (const policy of POLICIES)
      expect(
        texts.filter((text) => text === policy),
        policy,
      ).toHaveLength(2 + 2 + 1 + 2); // plots and table rows
    expect(texts).toContain('8.25 (4.13–12.4)');
    expect(texts.filter((text) => text === 'all at once: 3.21 ms')).toHaveLength(3);
  });

  it('draws bars as long as their values', () => {
    const bars = [...benchPage(RESULTS).matchAll(/<rect class="(best|bar)" x="(\d+)" y="\d+" width="([\d.]+)"/g)];
    expect(bars.map(([, tone]) => tone)).toEqual(['best', 'bar', 'bar', 'best', 'bar', 'bar']);
    const [lanes, fiddler, last] = bars.map(([, , , width]) => Number(width)) as [number, number, number];
    expect(fiddler / lanes).toBeCloseTo(7.25 / 8.25, 3);
    expect(last / lanes).toBeCloseTo(6.25 / 8.25, 3);
  });

  it('is well-formed whatever the names', () => {
    const name = fc.string({ unit: fc.constantFrom(...'<>&"\'a=/ -é') });
    fc.assert(
      fc.property(name, name, name, (model, policy, command) => {
        const measurements = [measurement(policy, 'decode', 1)];
        const timelines = [{ ...RESULTS.timelines[0]!, policy }];
        textsOf(benchPage({ ...RESULTS, model, command, measurements, timelines }));
      }),
      { numRuns: 50 },
    );
  });
});

describe('the scale of a plot', () => {
  it('begins at 0, holds the largest value, and has few even steps', () => {
    fc.assert(
      fc.property(fc.double({ min: 1e-6, max: 1e9, noNaN: true }), (max) => {
        const found = ticks(max);
        expect(found[0]).toBe(0);
        expect(found.at(-1)!).toBeGreaterThanOrEqual(max * (1 - 1e-6));
        expect(found.length).toBeLessThanOrEqual(6);
        expect(found.at(-2)!).toBeLessThan(max);
      }),
    );
  });

  it.each([0, Number.NaN, Number.POSITIVE_INFINITY])('takes %d', (max) => expect(ticks(max)).toEqual([0, 1]));
});

describe('where pieces of a layer may lie', () => {
  it('lets copies follow each other, computation wait for its copy, and the CPU run beside them', () => {
    const times = [
      ['copy', 4],
      ['streamed', 1],
      ['copy', 4],
      ['streamed', 1],
      ['resident', 2],
      ['cpu', 5],
    ] as const;
    let now = 10;
    const pieces = times.map(([lane, ms]) => {
      const from = now;
      now += ms;
      return { lane, from, to: now };
    });
    expect(schedule(pieces).map(({ from, to }) => [from, to])).toEqual([
      [0, 4],
      [4, 5],
      [4, 8],
      [8, 9],
      [9, 11],
      [0, 5],
    ]);
  });
});

describe('the report', () => {
  it('is a page and the results as JSON, in a folder that is made', () => {
    const dir = join(temporaryFolder(), 'new', 'folder');
    prepareReport(dir);
    writeReport(dir, RESULTS);
    expect(JSON.parse(readFileSync(join(dir, 'results.json'), 'utf8'))).toEqual(RESULTS);
    expect(readFileSync(join(dir, 'index.html'), 'utf8')).toBe(benchPage(RESULTS));
  });

  it('is refused at once where no folder can be', () => {
    expect(fiddlerError('file', () => prepareReport('package.json/report'))).toContain('package.json/report');
  });

  it('has the command line so that a shell takes it', () => {
    expect(commandLine(['bench', '--model', "it's here", '--ctx', '20', ''])).toBe(
      "fiddler bench --model 'it'\\''s here' --ctx 20 ''",
    );
  });
});
