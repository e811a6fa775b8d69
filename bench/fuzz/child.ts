// Reads cases of one target; run as a process of its own by fuzz.ts, since a target may end it.
import { openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { FiddlerError } from '#fiddler/errors.js';
import { Chance } from './chance.js';
import { targetNamed } from './targets/index.js';

const [name, folder, ...numbers] = process.argv.slice(2) as [string, string, ...string[]];
const [seed, first, end, until] = numbers.map(Number) as [number, number, number, number];

/** CPU time of one case from which on it counts as a hang; microseconds. */
const LONGEST = 1_000_000;

const target = (await targetNamed(name))(folder);
const progress = openSync(join(folder, 'case'), 'w');
const outcomes: Record<string, number> = {};
let next = first;
for (; next < end && Date.now() < until; next++) {
  writeSync(progress, `${next}`.padStart(16), 0);
  const input = target.make(new Chance(seed, next));
  const before = process.cpuUsage();
  const finding = await read(input);
  const { user, system } = process.cpuUsage(before);
  if (finding !== undefined) report(finding, input);
  else if (user + system > LONGEST) report(`takes ${((user + system) / 1e6).toFixed(1)} s`, input);
}
target.close?.();
console.log(JSON.stringify({ next, outcomes }));

/** What is wrong with how the target takes an input, if anything is. */
async function read(input: unknown): Promise<string | undefined> {
  try {
    await target.read(input);
    count('taken');
  } catch (error) {
    if (!(error instanceof FiddlerError) || error.code === 'internal') {
      return `throws ${error instanceof Error ? error.stack : String(error)}`;
    }
    if (/[\n\r]/.test(error.message)) return `says more than one line: ${JSON.stringify(error.message)}`;
    count(error.code);
  }
  return undefined;
}

function count(outcome: string): void {
  outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
}

function report(problem: string, input: unknown): void {
  const file = join(folder, `finding-${next}`);
  writeFileSync(file, target.show(input));
  console.log(JSON.stringify({ finding: next, problem, file }));
}
