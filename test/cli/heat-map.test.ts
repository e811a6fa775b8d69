import { stripVTControlCharacters } from 'node:util';
import pc from 'picocolors';
import { describe, expect, it } from 'vitest';
import { heatMap, hottestQuarter, popularityOf } from '../../src/cli/heat-map.js';
import { heatMapSvg } from '../../src/cli/heat-map-svg.js';

/** Counts of layers by experts that grow with the expert's number. */
const growing = (layers: number, experts: number) =>
  Array.from({ length: layers }, () => Array.from({ length: experts }, (_, e) => e * e));
const rowsOf = (map: string) => map.split('\n').filter((line) => /^ +\d/.test(line));
const cellsOf = (row: string) => row.match(/[·░▒▓█]/g) ?? [];
const coldest = { shade: '·', fill: '#2166ac' };
const hottest = { shade: '█', fill: '#b2182b' };

describe('popularity', () => {
  it('is in times the even share', () => {
    expect(popularityOf([1, 2, 3, 2])).toEqual([0.5, 1, 1.5, 1]);
    expect(popularityOf([0, 0])).toEqual([0, 0]);
    expect(hottestQuarter([1, 2, 3, 2])).toBe(3 / 8);
    expect(hottestQuarter([5])).toBe(1);
    expect(hottestQuarter([0, 0, 0])).toBe(0);
  });
});

describe('the heat map in a terminal', () => {
  it('has a row a layer and a column an expert where there is room', () => {
    const rows = rowsOf(
      heatMap(
        [
          [0, 0, 0, 8],
          [1, 1, 1, 1],
          [2, 1],
        ],
        80,
      ),
    );
    expect(rows).toHaveLength(3);
    expect(cellsOf(rows[0]!).join('')).toBe('······██');
    expect(new Set(cellsOf(rows[1]!))).toEqual(new Set(['▒']));
    expect(cellsOf(rows[2]!), 'a layer of fewer experts').toHaveLength(4);
    expect(rows[0]).toMatch(/ 100%$/);
    expect(rows[1]).toMatch(/ 25%$/);
  });

  it.each([
    [4, 16],
    [61, 256],
    [94, 512],
    [2, 1],
  ])('of %i layers with %i experts fits every width', (layers, experts) => {
    for (const width of [40, 80, 120, 300]) {
      const map = heatMap(growing(layers, experts), width);
      const rows = rowsOf(map);
      expect(rows).toHaveLength(layers);
      for (const row of rows) {
        expect(row.length).toBeLessThanOrEqual(width);
        expect(cellsOf(row).length).toBeGreaterThan(Math.min(experts, width / 4));
      }
      if (experts < 16) continue;
      expect(cellsOf(rows[0]!)).toContain(hottest.shade);
      expect(cellsOf(rows[0]!)).toContain(coldest.shade);
      expect(map.includes('experts a column'), 'says so where experts share one').toBe(experts > width - 13);
    }
  });

  it('shows experts that share a column from the hottest to the coldest', () => {
    const [row] = rowsOf(heatMap(growing(1, 256), 80));
    const order = cellsOf(row!).map((shade) => '█▓▒░·'.indexOf(shade));
    expect(order).toEqual(order.toSorted((a, b) => a - b));
    expect(order[0]).toBe(0);
    expect(order.at(-1)).toBe(4);
  });

  it('is coloured on demand, the same otherwise', () => {
    const plain = heatMap(growing(3, 8), 80);
    const coloured = heatMap(growing(3, 8), 80, pc.createColors(true));
    expect(plain).not.toContain('\u001b');
    expect(coloured).toContain(pc.createColors(true).red('██'));
    expect(stripVTControlCharacters(coloured)).toBe(plain);
  });
});

describe('the heat map as a drawing', () => {
  /** Rectangles of each colour. */
  const cells = (svg: string) =>
    new Map(
      [...svg.matchAll(/<path fill="(#\w+)" d="([^"]*)"\/>/g)].map(([, fill, d]) => [fill, d!.split('z').length - 1]),
    );
  const sizes = [
    [6, 8],
    [58, 256],
    [24, 512],
    [1, 1],
  ] as const;

  it.each(sizes)('of %i layers with %i experts has a cell for each, and stays small', (layers, experts) => {
    const svg = heatMapSvg('a model', growing(layers, experts));
    expect([...cells(svg).values()].reduce((a, b) => a + b, 0)).toBe(layers * experts);
    expect(svg.length).toBeLessThan(400_000);
    const [, width, height] = svg.match(/viewBox="0 0 (\d+) (\d+)"/)!.map(Number);
    for (const [, x, y] of svg.matchAll(/M(\d+) (\d+)h/g)) {
      expect(Number(x)).toBeLessThan(width!);
      expect(Number(y)).toBeLessThan(height!);
    }
    expect(width).toBeLessThan(1700);
  });

  it('has the ends of the scale where counts are extreme, its middle where they are even', () => {
    expect([...cells(heatMapSvg('', [[1, 1, 1]])).keys()]).toEqual(['#f7f7f7']);
    const one = cells(heatMapSvg('', [[...new Array(15).fill(0), 9]]));
    expect(one).toEqual(
      new Map([
        [coldest.fill, 15],
        [hottest.fill, 1],
      ]),
    );
  });

  it('escapes the title and ends as it began', () => {
    const svg = heatMapSvg('a <b> & "c"', [[1]]);
    expect(svg).toContain('a &lt;b&gt; &amp; &quot;c&quot;');
    expect(svg).not.toContain('<b>');
    expect(svg).toMatch(/^<svg [^>]*xmlns=.*<\/svg>\n$/s);
  });
});
