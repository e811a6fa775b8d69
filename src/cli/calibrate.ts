import type { Command } from 'commander';
import { prepareEnvironment } from '../devices/environment.js';
import type { Sample } from '../experts/costs.js';
import type { Rates } from '../pace/rates.js';
import type { ThreadRate } from '../planning/calibrate.js';
import { addModelArgument } from './model.js';
import { addCommon, addMachineOptions, type ModelFlags } from './options.js';
import { figure } from './plan-report.js';
import { addSyntheticOptions, plannedSource, type SyntheticFlags } from './synthetic.js';
import { warn } from './warn.js';

interface CalibrateFlags extends ModelFlags, SyntheticFlags {
  json?: boolean;
  thorough?: boolean;
}

const EXAMPLES = `
fiddler calibrate
fiddler calibrate ~/models/Mixtral-8x7B-v0.1 --thorough
fiddler calibrate --synthetic qwen3-30b-a3b --json`;

export function addCalibrate(program: Command): void {
  const command = program
    .command('calibrate')
    .summary("measure this machine for a model's shapes")
    .description(
      'Measures what a model’s pieces take on this machine, with a sample of random weights, and stores it for `plan` and for loading.',
    )
    .option('--thorough', 'repeat more: about a minute in place of under 10 seconds')
    .option('--json', 'one JSON object; its `file` is missing where nothing is stored');
  addSyntheticOptions(addMachineOptions(addModelArgument(command)));
  addCommon(command, EXAMPLES).action((_: unknown, flags: CalibrateFlags) => calibrateModel(flags));
}

async function calibrateModel(flags: CalibrateFlags): Promise<void> {
  prepareEnvironment(flags);
  const { calibrate, CAREFUL, THOROUGH } = await import('../planning/calibrate.js');
  const { entryFile } = await import('../pace/calibration.js');
  const source = await plannedSource(flags);
  const { rates, key, stored, bytes, threads } = calibrate(
    source,
    { ...flags, onWarning: warn },
    flags.thorough ? THOROUGH : CAREFUL,
  );
  const file = stored ? entryFile(key) : undefined;
  if (flags.json) process.stdout.write(`${JSON.stringify({ model: source.name, file, rates, threads })}\n`);
  else process.stdout.write(formatRates(source.name, rates, bytes, threads, file));
}

/** @param file where the rates are stored, if they are */
function formatRates(
  model: string,
  rates: Rates,
  bytes: number,
  threads: readonly ThreadRate[],
  file?: string,
): string {
  const { experts, sparse, dense, head, fill = 0 } = rates;
  const lane = (samples: readonly Sample[]) =>
    samples.map(({ tokens, ms }) => `${tokens}: ${figure(ms)}`).join(', ') || 'not used';
  const speed = (ms: number) => `${figure(ms)} ms (${figure(bytes / ms / 1e6)} GB/s)`;
  const layer = (samples: Rates['sparse']) =>
    samples.map(({ tokens, past, ms }) => `${tokens} behind ${past}: ${figure(ms)}`).join(', ') || 'none';
  const rows: [string, string][] = [
    ['model', model],
    ['an expert on the CPU, ms by tokens', lane(experts.cpu)],
    ['  for one token by threads', threads.map((t) => `${t.threads}: ${speed(t.ms)}`).join(', ')],
    ['an expert on the accelerator', lane(experts.accelerator)],
    ['an expert copied', experts.copy === undefined ? 'not used' : speed(experts.copy)],
    [
      'a call beside its experts',
      Object.entries(experts.calls)
        .map(([of, ms]) => `${of} ${figure(ms)} ms`)
        .join(', '),
    ],
    [
      'both lanes at once take longer',
      `CPU × ${figure(experts.contention.cpu)}, copies × ${figure(experts.contention.copy)}`,
    ],
    ['a layer before its experts, ms', layer(sparse)],
    ['a layer without experts, ms', layer(dense)],
    ['logits and choosing a token', `${figure(head)} ms`],
    ['loading', `${figure(fill)} ms a GB`],
    ['repeated measurements differ by', `± ${(100 * experts.spread).toFixed(0)}%`],
    ['stored in', file ?? 'no file: other programs had the cores; calibrate again when they have ended'],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${value}\n`).join('');
}
