import { formatBytes } from './report.js';

/** A loading that takes no longer than this, in milliseconds, shows no bar. */
const APPEARS_AFTER = 300;

/** Shows how much is loaded, on stderr where that is a terminal. */
export interface Progress {
  update(done: number, total: number): void;
  /** Takes the bar off the screen. */
  stop(): void;
}

export async function loadingProgress(): Promise<Progress> {
  if (!process.stderr.isTTY) return { update() {}, stop() {} };
  const { SingleBar, Presets } = await import('cli-progress');
  const format = 'loading [{bar}] {percentage}% of {bytes}';
  const options = { format, stream: process.stderr, clearOnComplete: true, hideCursor: true, gracefulExit: false };
  const bar = new SingleBar(options, Presets.rect);
  const begin = performance.now();
  return {
    update(done, total) {
      if (bar.isActive) bar.update(done);
      else if (performance.now() - begin > APPEARS_AFTER) bar.start(total, done, { bytes: formatBytes(total) });
    },
    stop: () => bar.stop(),
  };
}
