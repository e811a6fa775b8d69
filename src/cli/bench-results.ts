import type { Measurement } from '../engine/benchmark.js';
import type { LayerTimeline } from '../engine/timeline.js';
import type { Hardware } from '../loading/machine.js';

/** All that a run of `fiddler bench` found. */
export interface BenchResults {
  version: string;
  model: string;
  hardware: Hardware;
  /** ISO 8601. */
  date: string;
  command: string;
  /** What was loaded, by name. */
  loaded: Readonly<Record<string, string>>;
  measurements: readonly Measurement[];
  /** One for each policy, in milliseconds. */
  timelines: readonly LayerTimeline[];
}

/** This process's command as a line for a POSIX shell. */
export function commandLine(args: readonly string[] = process.argv.slice(2)): string {
  const quote = (arg: string) => (/^[\w./:=,%@+-]+$/.test(arg) ? arg : `'${arg.replaceAll("'", "'\\''")}'`);
  return ['fiddler', ...args.map(quote)].join(' ');
}
