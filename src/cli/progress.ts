import { formatBytes } from './report.js';

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
  return {
    update(done, total) {
      if (!bar.isActive) bar.start(total, done, { bytes: formatBytes(total) });
      else bar.update(done);
    },
    stop: () => bar.stop(),
  };
}
