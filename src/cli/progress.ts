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
