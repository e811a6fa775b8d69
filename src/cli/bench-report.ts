import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { FiddlerError } from '../errors.js';
import { benchPage } from './bench-page.js';
import type { BenchResults } from './bench-results.js';

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
