import type { DownloadProgress } from '../weights/hub/download.js';
import { formatBytes, plural } from './report.js';

/** A loading that takes no longer than this, in milliseconds, shows no bar. */
const APPEARS_AFTER = 300;

/** Shows how much is done, on stderr where that is a terminal. */
export interface Progress {
  update(done: number, total: number): void;
  /** Takes the bar off the screen. */
  stop(): void;
}

export const loadingProgress = () => progress('loading', formatBytes);

export const countingProgress = () => progress('counting', (total) => plural(total, 'token'));

export const answeringProgress = () => progress('answering', (total) => plural(total, 'request'));

/** @param size what there is to do in all, for people */
async function progress(doing: string, size: (total: number) => string): Promise<Progress> {
  if (!process.stderr.isTTY) return { update() {}, stop() {} };
  const { SingleBar, Presets } = await import('cli-progress');
  const format = `${doing} [{bar}] {percentage}% of {size}`;
  const options = { format, stream: process.stderr, clearOnComplete: true, hideCursor: true, gracefulExit: false };
  const bar = new SingleBar(options, Presets.rect);
  const begin = performance.now();
  return {
    update(done, total) {
      if (bar.isActive) bar.update(done);
      else if (performance.now() - begin > APPEARS_AFTER) bar.start(total, done, { size: size(total) });
    },
    stop: () => bar.stop(),
  };
}

/** Rates are those of so many milliseconds. */
const RATE_OVER = 5000;

/** How far a download is, with its rate and the time left, on stderr where that is a terminal. */
export async function downloadProgress(now = () => performance.now()) {
  const { SingleBar, Presets } = await import('cli-progress');
  const format = 'downloading [{bar}] {done} of {size}, {rate}, {left}';
  const options = { format, stream: process.stderr, clearOnComplete: true, hideCursor: true, gracefulExit: false };
  const bar = process.stderr.isTTY ? new SingleBar(options, Presets.rect) : undefined;
  const rate = new RecentRate(now);
  return {
    update({ done, total, received }: DownloadProgress): void {
      rate.add(received);
      const perSecond = rate.perSecond();
      const shown = {
        done: formatBytes(done),
        size: formatBytes(total),
        rate: perSecond > 0 ? `${formatBytes(perSecond)}/s` : 'waiting',
        left: perSecond > 0 ? `${duration((total - done) / perSecond)} left` : '',
      };
      if (bar?.isActive) bar.update(done, shown);
      else bar?.start(total, done, shown);
    },
    stop: () => bar?.stop(),
  };
}

/** The rate of a count over the last seconds. */
export class RecentRate {
  readonly #steps: { time: number; count: number }[] = [];

  /** @param now the time in milliseconds */
  constructor(private readonly now: () => number) {}

  add(count: number): void {
    const time = this.now();
    const last = this.#steps.at(-1);
    if (last && time - last.time < RATE_OVER / 50) last.count = count;
    else this.#steps.push({ time, count });
    while (this.#steps.length > 2 && time - this.#steps[1]!.time >= RATE_OVER) this.#steps.shift();
  }

  /** 0 where nothing is known yet. */
  perSecond(): number {
    const [first] = this.#steps;
    const last = this.#steps.at(-1);
    const seconds = first && last ? (this.now() - first.time) / 1000 : 0;
    return seconds > 0 ? (last!.count - first!.count) / seconds : 0;
  }
}

/** Seconds for people: `42 s`, `3 min`, `2 h 05 min`. */
export function duration(seconds: number): string {
  if (seconds < 100) return `${Math.ceil(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 100) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} min`;
}
