import type { Command } from 'commander';
import { prepareEnvironment } from '../devices/environment.js';
import { MOST_SEQUENCES } from '../options.js';
import type { Rates } from '../pace/rates.js';
import { addModelArgument } from './model.js';
import { addCommon, addMachineOptions, type ModelFlags, policyOption } from './options.js';
import { BUNDLED_MODEL, MAIN_SCRIPT } from './package.js';
import { integer, tokens } from './parse.js';
import { formatPlan } from './plan-report.js';
import { addSyntheticOptions, plannedSource, type SyntheticFlags } from './synthetic.js';
import { warn } from './warn.js';

/** Options of the commands that predict. */
export interface PlanFlags extends ModelFlags, SyntheticFlags {
  prompts: number[];
  decodeAt: number;
  parallel: number;
  json?: boolean;
}

const EXAMPLES = `
fiddler plan ~/models/Mixtral-8x7B-v0.1 --gpu-memory 24GiB
fiddler plan Qwen/Qwen3-30B-A3B --gpu-memory 8GiB --ctx 8192
fiddler plan --synthetic gpt-oss-120b`;

export function addPlan(program: Command): void {
  const command = program
    .command('plan')
    .summary('say what a model would take here, and how fast it would be')
    .description(
      'Says what a model would take of this machine and how fast it would be, from its config and the headers of its weights alone. What its pieces take is measured with a sample of random weights, once for each model and machine.',
    );
  addPlanOptions(addMachineOptions(addModelArgument(command)));
  addCommon(command, EXAMPLES).action((_: unknown, flags: PlanFlags) => plan(flags));
}

/** Options that say what to predict. */
export function addPlanOptions(command: Command): Command {
  return addSyntheticOptions(command)
    .addOption(policyOption())
    .option('--prompts <lengths>', 'prompt lengths to predict', tokens, [32, 512, 2048])
    .option('--decode-at <tokens>', 'tokens of context to decode behind', integer(0), 1000)
    .option(
      '--parallel <n>',
      'texts at once that there is to be room for, and whose decoding is predicted',
      integer(1, MOST_SEQUENCES),
      1,
    )
    .option('--json', 'one JSON object');
}

async function plan(flags: PlanFlags): Promise<void> {
  prepareEnvironment(flags);
  const { calibrated } = await import('../planning/calibrate.js');
  const { planModel } = await import('../planning/plan.js');
  const { rehearsedProcess } = await import('../planning/rehearsal.js');
  const source = await plannedSource(flags);
  const { prompts, decodeAt: past, parallel: sequences, json, ...others } = flags;
  const options = { ...others, sequences };
  const rehearsal = { script: MAIN_SCRIPT, model: BUNDLED_MODEL };
  let rates: Rates | undefined;
  const found = planModel(
    source,
    { ...options, prompts, past },
    (layout) => {
      rates ??= calibrated(source, { ...options, onWarning: warn }, layout);
      return rates;
    },
    (machine) => rehearsedProcess(machine, { ...options, onWarning: warn }, rehearsal),
  );
  process.stdout.write(json ? `${JSON.stringify(found)}\n` : formatPlan(found));
  if (found.shortages.length > 0) process.exitCode = 1;
}
