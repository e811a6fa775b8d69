// Compares what `fiddler plan` says with what `fiddler run` then measures, for every policy and several residencies.
// The machine is calibrated anew in each round, since its speed drifts; figures are medians of the rounds. With --busy, so
// many processes that do nothing but take a core run beside it.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { rotated } from '#fiddler/engine/benchmark.js';
import { POLICIES } from '#fiddler/experts/policies/index.js';
import type { Plan } from '#fiddler/planning/plan.js';
import type { Report } from '#fiddler/report.js';
import { median } from './median.js';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const { values: args } = parseArgs({
  options: {
    model: { type: 'string', default: join(root, 'models', 'mini-mixtral') },
    accelerator: { type: 'string', default: 'none,host' },
    residency: { type: 'string', default: '0,25,50' },
    prompt: { type: 'string', default: '512' },
    tokens: { type: 'string', default: '1000' },
    rounds: { type: 'string', default: '5' },
    busy: { type: 'string', default: '0' },
  },
});
const [prompt, tokens, rounds] = [Number(args.prompt), Number(args.tokens), Number(args.rounds)];
const context = ['--ctx', `${prompt + tokens}`];
const ids = Array.from({ length: prompt }, (_, i) => ((i * 37) % 400) + 3).join(',');
const decodeAt = `${prompt + (tokens >> 1)}`;

/** What was planned at a residency, and what each policy's run then measured. */
interface Round {
  planned: Plan;
  measured: Map<string, Report>;
}

const folder = mkdtempSync(join(tmpdir(), 'fiddler-predictions-'));

/** Runs the command as a process that writes to a file, so that nobody reads along on its cores. @returns its last line */
function fiddler(command: string, ...given: string[]): string {
  const file = join(folder, 'output');
  const output = openSync(file, 'w');
  const script = join(root, 'dist', 'cli', 'main.js');
  const { status, stderr } = spawnSync(process.execPath, [script, command, ...given], {
    stdio: ['ignore', output, 'pipe'],
    encoding: 'utf8',
  });
  closeSync(output);
  if (status !== 0) throw new Error(`fiddler ${command} ended with ${status}: ${stderr}`);
  return readFileSync(file, 'utf8').trimEnd().split('\n').at(-1)!;
}

function round(accelerator: string, residency: number, turn: number): Round {
  const offloads = accelerator !== 'none';
  const setting = ['--accelerator', accelerator, '--no-profile', ...context];
  if (offloads) setting.push('--experts-resident', `${residency}%`);
  const predicting = ['--prompts', `${prompt}`, '--decode-at', decodeAt];
  const planned: Plan = JSON.parse(fiddler('plan', args.model, '--json', ...setting, ...predicting));
  // Nothing is decided where nothing is offloaded.
  const names = (offloads ? POLICIES : POLICIES.slice(0, 1)).map(({ name }) => name);
  const generating = ['--tokens', ids, '--max-tokens', `${tokens}`, '--json', '--no-learn'];
  const measured = new Map<string, Report>();
  for (const policy of rotated(names, turn)) {
    const line = fiddler('run', '--model', args.model, ...generating, ...setting, '--policy', policy);
    measured.set(policy, JSON.parse(line).report);
  }
  return { planned, measured };
}

/** Processes that take a core each until this one ends, or for an hour. */
function busyLoops(count: number): ChildProcess[] {
  const loop = 'const end = Date.now() + 36e5; while (Date.now() < end && process.ppid === PARENT);';
  const script = loop.replace('PARENT', `${process.pid}`);
  return Array.from({ length: count }, () => spawn(process.execPath, ['-e', script], { stdio: 'ignore' }));
}

/** Of all rates and first tokens of a run, how many lie in the plan's intervals. */
function heldOf({ planned, measured }: Round): { held: number; of: number } {
  const within = [...measured].flatMap(([policy, { decodeRate, ttft }]) => {
    const { decode, prefill } = planned.policies.find((p) => p.policy === policy)!;
    const holds = ({ low, high }: { low: number; high: number }, ms: number) => low <= ms && ms <= high;
    return [holds(decode, 1000 / decodeRate), holds(prefill[0]!, 1000 * ttft)];
  });
  return { held: within.filter((yes) => yes).length, of: within.length };
}

/** Medians of measured and predicted, and that of their ratio in each round. */
function compare(all: readonly Round[], predicted: (r: Round) => number, measured: (r: Round) => number): string {
  const ratio = median(all.map((one) => predicted(one) / measured(one)));
  const difference = `${ratio >= 1 ? '+' : ''}${(100 * (ratio - 1)).toFixed(0)}%`;
  const [value, real] = [median(all.map(predicted)), median(all.map(measured))];
  return `${real.toPrecision(3)} | ${value.toPrecision(3)} | ${difference}`;
}

/** Prints a row for each policy, and how fast the planned one was beside the others. */
function print(accelerator: string, residency: number, all: readonly Round[]): void {
  const rates = new Map<string, number>();
  for (const policy of [...all[0]!.measured.keys()].sort()) {
    const plan = ({ planned }: Round) => planned.policies.find((p) => p.policy === policy)!;
    const rate = ({ measured }: Round) => measured.get(policy)!.decodeRate;
    const ttft = ({ measured }: Round) => 1000 * measured.get(policy)!.ttft;
    const decode = compare(all, (r) => 1000 / plan(r).decode.ms, rate);
    const first = compare(all, (r) => plan(r).prefill[0]!.ms, ttft);
    console.log(`| ${accelerator} ${residency}% ${policy} | ${decode} | ${first} |`);
    rates.set(policy, median(all.map(rate)));
  }
  const named = all[0]!.planned.policies[0]!.policy;
  const part = rates.get(named)! / Math.max(...rates.values());
  console.log(
    `| ${accelerator} ${residency}%: the plan takes ${named}, ${(100 * part).toFixed(0)}% of the fastest | | | | | | |`,
  );
}

const busy = busyLoops(Number(args.busy));
try {
  const settings = args.accelerator.split(',').flatMap((accelerator) => {
    const residencies = accelerator === 'none' ? [0] : args.residency.split(',').map(Number);
    return residencies.map((residency) => ({ accelerator, residency, found: [] as Round[] }));
  });
  for (let turn = 0; turn < rounds; turn++) {
    for (const { accelerator, residency, found } of settings) {
      fiddler('calibrate', args.model, '--accelerator', accelerator, ...context);
      found.push(round(accelerator, residency, turn));
    }
  }
  console.log(
    '| | tokens/s | predicted | | first token, ms | predicted | |\n| --- | --- | --- | --- | --- | --- | --- |',
  );
  for (const { accelerator, residency, found } of settings) print(accelerator, residency, found);
  const all = settings.flatMap(({ found }) => found.map(heldOf));
  const total = (of: 'held' | 'of') => all.reduce((sum, each) => sum + each[of], 0);
  console.log(`\nIn the plan's intervals lie ${total('held')} of ${total('of')} measured figures.`);
} finally {
  for (const loop of busy) loop.kill('SIGKILL');
  rmSync(folder, { recursive: true });
}
