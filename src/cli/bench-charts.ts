import type { LayerTimeline, Piece } from '../engine/timeline.js';
import { SPAN_LANES, type SpanLane } from '../experts/spans.js';

/** One bar; `tone` is its CSS class, `low` and `high` are the ends of a whisker. Its text stands behind it, or at the right of whiskers. */
export interface Bar {
  tone: string;
  name: string;
  value: number;
  text: string;
  low?: number;
  high?: number;
}

/** Bars that share a label at the left. */
export interface BarGroup {
  label: string;
  bars: readonly Bar[];
}

/** Pixels of the drawing's own coordinates; the page scales it. */
const WIDTH = 520;
const LEFT = 84;
const RIGHT = 112;
const AXIS = 38;
const TOP = 8;

/** For text and for attributes in double quotes. */
export function escapeText(text: string): string {
  const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
  return text.replaceAll(/[&<>"']/g, (c) => entities[c]!);
}

/** A number with three digits that matter, for people. */
export function shortNumber(value: number): string {
  if (!Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  return value.toFixed(size === 0 || size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3);
}

/** Round steps from 0 to at least `max`, six at most. */
export function ticks(max: number): number[] {
  if (!(max > 0 && Number.isFinite(max))) return [0, 1];
  const power = 10 ** Math.floor(Math.log10(max / 5));
  const step = power * [1, 2, 5, 10].find((m) => m * power * 5 >= max)!;
  const count = Math.ceil(max / step - 1e-9);
  return Array.from({ length: count + 1 }, (_, i) => Number((i * step).toPrecision(12)));
}

/** Horizontal bars over one axis that begins at 0. */
export function barChart(title: string, axis: string, groups: readonly BarGroup[]): string {
  const thickness = groups.some(({ bars }) => bars.length > 1) ? 11 : 16;
  const all = groups.flatMap(({ bars }) => bars);
  const scale = new Scale(Math.max(...all.map(({ value, high = 0 }) => Math.max(value, high))));
  let y = TOP;
  const body = groups.map(({ label, bars }) => {
    const height = bars.length * (thickness + 2);
    const name = text(LEFT - 8, y + height / 2, label, 'end');
    const drawn = bars.map((bar, i) => drawBar(bar, scale, y + i * (thickness + 2), thickness));
    y += height + 10;
    return name + drawn.join('');
  });
  return drawing(title, y, scale.axis(y, axis) + body.join(''));
}

function drawBar({ tone, name, value, text: label, low, high }: Bar, scale: Scale, y: number, height: number): string {
  const middle = y + height / 2;
  const hint = `<title>${escapeText(`${name}: ${label}`)}</title>`;
  const bar = `<rect class="${tone}" x="${LEFT}" y="${y}" width="${scale.length(value)}" height="${height}" rx="2">${hint}</rect>`;
  if (low === undefined || high === undefined) return bar + text(scale.at(value) + 6, middle, label, 'start');
  const [from, to] = [scale.at(low), scale.at(high)];
  const whisker = `<path class="whisker" d="M${from} ${middle}H${to}M${from} ${middle - 4}v8M${to} ${middle - 4}v8"/>`;
  return bar + whisker + text(WIDTH, middle, label, 'end');
}

export const LANE_TITLES: Readonly<Record<SpanLane, string>> = {
  copy: 'copies',
  streamed: 'streamed',
  resident: 'resident',
  cpu: 'CPU',
};

/** A layer's pieces in their lanes, where they may begin at the earliest, and a line where all of them really ended. */
export function timelineChart({ policy, pieces, together }: LayerTimeline, longest: number): string {
  const scale = new Scale(longest);
  const placed = schedule(pieces);
  const [height, gap] = [18, 8];
  const rows = SPAN_LANES.map((lane, i) => {
    const y = TOP + 18 + i * (height + gap);
    const blocks = placed
      .filter((piece) => piece.lane === lane)
      .map(({ from, to }) => {
        const what = `${LANE_TITLES[lane]}: ${shortNumber(to - from)} ms`;
        return `<rect class="lane-${lane} block" x="${scale.at(from)}" y="${y}" width="${scale.length(to - from)}" height="${height}"><title>${escapeText(what)}</title></rect>`;
      });
    const ms = placed.reduce((sum, piece) => sum + (piece.lane === lane ? piece.to - piece.from : 0), 0);
    const total = ms > 0 ? text(WIDTH, y + height / 2, `${shortNumber(ms)} ms`, 'end') : '';
    return text(LEFT - 8, y + height / 2, LANE_TITLES[lane], 'end') + blocks.join('') + total;
  });
  const bottom = TOP + 18 + SPAN_LANES.length * (height + gap);
  const end = scale.at(together);
  const line = `<path class="together" d="M${end} ${TOP + 14}V${bottom}"/>`;
  const label = text(
    end,
    TOP + 6,
    `all at once: ${shortNumber(together)} ms`,
    end > WIDTH / 2 ? 'end' : 'start',
    'value',
  );
  const name = `One layer's experts in decoding, policy ${policy}`;
  return drawing(name, bottom, scale.axis(bottom, 'milliseconds') + rows.join('') + line + label);
}

/**
 * Where pieces measured one after another would lie if the lanes did not slow each other down: copies follow each
 * other, an expert is computed once its copy is there, and the accelerator computes in the order given.
 */
export function schedule(pieces: readonly Piece[]): Piece[] {
  let [copied, computed, onCpu] = [0, 0, 0];
  return pieces.map(({ lane, from, to }) => {
    const ms = to - from;
    if (lane === 'copy') copied += ms;
    else if (lane === 'cpu') onCpu += ms;
    else computed = Math.max(computed, lane === 'streamed' ? copied : 0) + ms;
    const end = lane === 'copy' ? copied : lane === 'cpu' ? onCpu : computed;
    return { lane, from: end - ms, to: end };
  });
}

/** A linear scale from 0 over the drawing's middle. */
class Scale {
  private readonly ticks: number[];

  constructor(max: number) {
    this.ticks = ticks(max);
  }

  length(value: number): number {
    const share = Number.isFinite(value) ? value / this.ticks.at(-1)! : 0;
    return Number((share * (WIDTH - LEFT - RIGHT)).toFixed(2));
  }

  at(value: number): number {
    return Number((LEFT + this.length(value)).toFixed(2));
  }

  axis(y: number, name: string): string {
    const lines = this.ticks.map((tick) => {
      const x = this.at(tick);
      return `<path class="grid" d="M${x} ${TOP}V${y}"/>${text(x, y + 11, `${tick}`, 'middle', 'tick')}`;
    });
    return lines.join('') + text((LEFT + WIDTH - RIGHT) / 2, y + 28, name, 'middle', 'tick');
  }
}

function text(x: number, y: number, content: string, anchor: 'start' | 'middle' | 'end', tone = 'label'): string {
  return `<text class="${tone}" x="${x}" y="${y}" dy="0.35em" text-anchor="${anchor}">${escapeText(content)}</text>`;
}

function drawing(title: string, bottom: number, body: string): string {
  const height = bottom + AXIS;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escapeText(title)}">${body}</svg>`;
}
