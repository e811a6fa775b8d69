import type { Counts } from '../experts/placement.js';
import { escapeText } from './bench-charts.js';
import { popularityOf } from './heat-map.js';

/** From cold to hot, a factor of √2 each; the middle is the even share. ColorBrewer's RdBu of nine classes, turned round. */
const PALETTE = [
  '#2166ac',
  '#4393c3',
  '#92c5de',
  '#d1e5f0',
  '#f7f7f7',
  '#fddbc7',
  '#f4a582',
  '#d6604d',
  '#b2182b',
] as const;
const MIDDLE = (PALETTE.length - 1) / 2;

/** Pixels. */
const LEFT = 56;
const TOP = 54;
const MARGIN = 16;
/** Widest map, and the sides of a cell. */
const WIDTH = 1024;
const CELL = { least: 3, most: 24 };

/** The heat map of layers by experts as a drawing of its own. */
export function heatMapSvg(title: string, counts: Counts): string {
  const experts = Math.max(...counts.map(({ length }) => length));
  const cell = Math.max(CELL.least, Math.min(CELL.most, Math.floor(WIDTH / experts)));
  const high = Math.max(cell, 8);
  const [right, bottom] = [LEFT + experts * cell, TOP + counts.length * high];
  const width = Math.max(right, LEFT + PALETTE.length * 40) + MARGIN;
  const height = bottom + 64;
  const body = [
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    text(LEFT, 18, title, 'start', 14),
    text(LEFT, TOP - 20, 'expert', 'start'),
    ...every(experts, 28 / cell).map((e) => text(LEFT + (e + 0.5) * cell, TOP - 7, `${e}`, 'middle')),
    ...every(counts.length, 14 / high).map((l) => text(LEFT - 6, TOP + (l + 0.5) * high + 4, `${l}`, 'end')),
    text(6, TOP - 7, 'layer', 'start'),
    ...cells(counts, cell, high),
    ...legend(bottom + 18),
  ];
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escapeText(title)}" font-family="system-ui, 'DejaVu Sans', sans-serif">\n${body.join('\n')}\n</svg>\n`;
}

/** One path a colour: a rectangle each would make a drawing of megabytes. */
function cells(counts: Counts, width: number, height: number): string[] {
  const paths = PALETTE.map(() => '');
  counts.forEach((layer, l) => {
    popularityOf(layer).forEach((popularity, e) => {
      paths[colorOf(popularity)] += `M${LEFT + e * width} ${TOP + l * height}h${width}v${height}h-${width}z`;
    });
  });
  return paths.map((path, i) => `<path fill="${PALETTE[i]}" d="${path}"/>`).filter((_, i) => paths[i] !== '');
}

/** Index in the palette. @param popularity in times the even share */
function colorOf(popularity: number): number {
  const steps = Math.round(2 * Math.log2(popularity)); // −Infinity for 0
  return Math.max(0, Math.min(PALETTE.length - 1, MIDDLE + steps));
}

function legend(y: number): string[] {
  const boxes = PALETTE.map((color, i) => {
    const x = LEFT + i * 40;
    const value = Number((2 ** ((i - MIDDLE) / 2)).toPrecision(2));
    return `<rect x="${x}" y="${y}" width="40" height="10" fill="${color}"/>${text(x + 20, y + 23, `${value}×`, 'middle')}`;
  });
  return [...boxes, text(LEFT, y + 38, 'times the even share of the layer', 'start')];
}

/** Numbers from 0 to below `count`, in round steps of at least `step`. */
function every(count: number, step: number): number[] {
  const round = [1, 2, 4, 8, 16, 32, 64, 128, 256].find((n) => n >= step) ?? count;
  return Array.from({ length: Math.ceil(count / round) }, (_, i) => i * round);
}

function text(x: number, y: number, content: string, anchor: 'start' | 'middle' | 'end', size = 11): string {
  const place = `x="${Number(x.toFixed(1))}" y="${Number(y.toFixed(1))}"`;
  return `<text ${place} font-size="${size}" fill="#1c1f23" text-anchor="${anchor}">${escapeText(content)}</text>`;
}
