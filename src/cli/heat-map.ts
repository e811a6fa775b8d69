import pc from 'picocolors';
import type { Counts } from '../experts/placement.js';

/** How often an expert is chosen, in times its even share of the layer, begins each shade but the first. */
const STEPS = [0.5, 0.8, 1.25, 2];
const SHADES = ['·', '░', '▒', '▓', '█'];

type Colors = ReturnType<typeof pc.createColors>;

/** How often each expert was chosen, in times its even share of the layer; 0 where nothing was. */
export function popularityOf(layer: ArrayLike<number>): number[] {
  const counts = Array.from(layer);
  const even = counts.reduce((a, b) => a + b, 0) / counts.length;
  return counts.map((n) => (even === 0 ? 0 : n / even));
}

/** Share of a layer's choices that its most popular quarter of experts has. */
export function hottestQuarter(layer: ArrayLike<number>): number {
  const sorted = popularityOf(layer).sort((a, b) => b - a);
  const hottest = sorted.slice(0, Math.ceil(sorted.length / 4));
  return hottest.reduce((a, b) => a + b, 0) / sorted.length;
}

/**
 * A heat map of layers by experts, in lines that end with a newline each. Where a line has no room for all experts, they
 * are in order of popularity, and some share a column, which shows their mean.
 * @param width characters of a line
 */
export function heatMap(counts: Counts, width: number, colors: Colors = pc.createColors(false)): string {
  const experts = Math.max(...counts.map(({ length }) => length));
  const label = Math.max(5, `${counts.length - 1}`.length);
  const room = Math.max(1, width - label - '  '.length - '  100%'.length);
  const shared = Math.ceil(experts / room);
  const columns = Math.ceil(experts / shared);
  const wide = columns * 2 <= room ? 2 : 1;
  const paints = [colors.gray, colors.blue, colors.cyan, colors.yellow, colors.red];
  const cell = (level: number) => paints[level]!(SHADES[level]!.repeat(wide));
  const rows = counts.map((layer, l) => {
    const popularity = popularityOf(layer);
    if (shared > 1) popularity.sort((a, b) => b - a);
    const cells = Array.from({ length: columns }, (_, c) => {
      const group = popularity.slice(c * shared, (c + 1) * shared);
      return group.length > 0 ? cell(levelOf(mean(group))) : ' '.repeat(wide);
    });
    const hottest = `${Math.round(100 * hottestQuarter(layer))}%`.padStart(4);
    return `${`${l}`.padStart(label)}  ${cells.join('')}  ${hottest}\n`;
  });
  const head = `${'layer'.padStart(label)}  ${(shared > 1 ? `${experts} experts` : `experts 0 to ${experts - 1}`).slice(0, columns * wide).padEnd(columns * wide)}  ${'top¼'.padStart(4)}\n`;
  return head + rows.join('') + legend(cell, shared);
}

function mean(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0) / values.length;
}

function levelOf(popularity: number): number {
  return STEPS.filter((step) => popularity >= step).length;
}

function legend(cell: (level: number) => string, shared: number): string {
  const steps = STEPS.map((step, i) => `${cell(i + 1)} from ${step}`);
  const columns =
    shared > 1 ? `in order of popularity, ${shared} experts a column; a drawing (--svg) shows each\n` : '';
  return `${columns}times the even share: ${cell(0)} less  ${steps.join('  ')}; top¼: share of the hottest quarter\n`;
}
