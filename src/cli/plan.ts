import { Argument, type Command, Option } from 'commander';
import { prepareEnvironment } from '../devices/environment.js';
import type { Rates } from '../engine/rates.js';
import type { ModelSource } from '../engine/source.js';
import { FiddlerError } from '../errors.js';
import { PUBLISHED } from '../models/published/index.js';
import { addCommon, addMachineOptions, type ModelFlags, policyOption } from './options.js';
import { BUNDLED_MODEL, MAIN_SCRIPT } from './package.js';
import { integer, tokens } from './parse.js';
import { formatPlan } from './plan-report.js';
import { warn } from './warn.js';

/** Options of the commands that predict. */
export interface PlanFlags extends ModelFlags {
  synthetic?: string;
  layers?: number;
  prompts: number[];
  decodeAt: number;
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
    )
    .addArgument(modelArgument());
  addPlanOptions(addMachineOptions(command));
  addCommon(command, EXAMPLES).action(plan);
}

export function modelArgument(): Argument {
  return new Argument(
    '[model]',
    'folder of the model, or a repository of the Hugging Face hub (organisation/name)',
  ).default(BUNDLED_MODEL, 'the bundled mini-mixtral');
}

/** Options that say what to predict. */
export function addPlanOptions(command: Command): Command {
  return addSyntheticOptions(command)
    .addOption(policyOption())
    .option('--prompts <lengths>', 'prompt lengths to predict', tokens, [32, 512, 2048])
    .option('--decode-at <tokens>', 'tokens of context to decode behind', integer(0), 1000)
    .option('--json', 'one JSON object');
}

/** Options that name a published shape in place of a model. */
export function addSyntheticOptions(command: Command): Command {
  return command
    .addOption(new Option('--synthetic <name>', 'a published shape, without files').choices(Object.keys(PUBLISHED)))
    .option('--layers <n>', 'fewer layers for --synthetic', integer(1));
}

/** The model that is meant, without its weights. */
export async function sourceOf(model: string, { synthetic, layers }: PlanFlags): Promise<ModelSource> {
  if (synthetic) {
    const { syntheticSource } = await import('../engine/synthetic.js');
    return syntheticSource(synthetic, { layers, empty: true });
  }
  if (layers !== undefined) throw new FiddlerError('usage', '--layers needs --synthetic', 'give both, or neither');
  const { namedSource } = await import('../engine/source.js');
  return namedSource(model);
}

async function plan(model: string, flags: PlanFlags): Promise<void> {
  prepareEnvironment(flags);
  const { calibrated } = await import('../planning/calibrate.js');
  const { planModel } = await import('../planning/plan.js');
  const { rehearsedProcess } = await import('../planning/rehearsal.js');
  const source = await sourceOf(model, flags);
  const { prompts, decodeAt: past, json, ...options } = flags;
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
  if (found.memory.ram.total > found.memory.ram.available) process.exitCode = 1;
}
