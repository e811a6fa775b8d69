import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Measurement } from '../engine/benchmark.js';
import type { Hardware } from '../engine/machine.js';
import type { LayerTimeline } from '../engine/timeline.js';
import { FiddlerError } from '../errors.js';
import { benchPage } from './bench-page.js';

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

/** Makes the folder before hours of measuring. @throws FiddlerError `file` */
export function prepareReport(dir: string): void {
  writing(dir, () => mkdirSync(dir, { recursive: true }));
}

/** Writes index.html and results.json. @throws FiddlerError `file` */
export function writeReport(dir: string, results: BenchResults): void {
  writing(dir, () => {
    writeFileSync(join(dir, 'results.json'), `${JSON.stringify(results, null, 2)}\n`);
    writeFileSync(join(dir, 'index.html'), benchPage(results));
  });
}

function writing(dir: string, write: () => void): void {
  try {
    write();
  } catch (error) {
    const problem = `cannot write the report to ${dir}: ${(error as Error).message}`;
    throw new FiddlerError('file', problem, 'give --report another folder');
  }
}

/** This process's command as a line for a POSIX shell. */
export function commandLine(args: readonly string[] = process.argv.slice(2)): string {
  const quote = (arg: string) => (/^[\w./:=,%@+-]+$/.test(arg) ? arg : `'${arg.replaceAll("'", "'\\''")}'`);
  return ['fiddler', ...args.map(quote)].join(' ');
}
