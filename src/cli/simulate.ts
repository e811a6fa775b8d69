import { type Command, Option } from 'commander';
import { FiddlerError } from '../errors.js';
import type { Plan } from '../planning/plan.js';
import { addModelArgument } from './model.js';
import { addCommon, addMachineOptions } from './options.js';
import { addPlanOptions, type PlanFlags } from './plan.js';
import { figure, formatPlan } from './plan-report.js';
import { plannedSource } from './synthetic.js';

interface SimulateFlags extends PlanFlags {
  hardware?: string;
  trace?: string;
}

const EXAMPLES = `
fiddler simulate --hardware rtx-6000-ada --synthetic mixtral-8x7b
fiddler simulate --hardware my-machine.json ~/models/Qwen3-30B-A3B --gpu-memory 8GiB
fiddler simulate --hardware quadro-rtx-6000 --synthetic mixtral-8x7b --experts-resident 21.875% --prompts 512,4096
fiddler simulate --trace routes.jsonl --experts-resident 25%`;

export function addSimulate(program: Command): void {
  const command = program
    .command('simulate')
    .summary('plan for a machine that is not here')
    .description(
      'The plan for a machine that is not here, from its rates: a known machine, or a JSON file (docs/hardware.md). Figures published for it are printed beside. Of a trace: how often each rule would have missed by which experts could share the accelerator.',
    )
    .option('--hardware <name|file>', 'the machine')
    .addOption(
      new Option(
        '--trace <file>',
        'replay what was chosen, as `fiddler run --trace` writes it, with --experts-resident of the experts there',
      ).conflicts('hardware'),
    );
  addPlanOptions(addMachineOptions(addModelArgument(command)));
  addCommon(command, EXAMPLES).action((_: unknown, flags: SimulateFlags) => simulate(flags));
}

async function simulate(flags: SimulateFlags): Promise<void> {
  if (flags.trace !== undefined) return (await import('./replay.js')).replayTrace(flags.trace, flags);
  if (flags.hardware === undefined)
    throw new FiddlerError('usage', 'there is nothing to simulate', 'give --hardware, or --trace');
  const { hardwareNamed, publishedFor, ratesOn, standInFor } = await import('../planning/hardware.js');
  const { planModel } = await import('../planning/plan.js');
  const hardware = hardwareNamed(flags.hardware);
  const source = await plannedSource(flags);
  const { prompts, decodeAt: past, parallel: sequences, json, trace: _, ...options } = flags;
  const standIn = standInFor(hardware);
  const planned = (sequential: boolean) =>
    planModel(source, { ...options, sequences, prompts, past, standIn }, ({ blueprint }) =>
      ratesOn(hardware, blueprint, sequential),
    );
  const found = planned(false);
  const published = publishedFor(hardware, flags.synthetic ?? flags.model).map((figures) => ({
    figures,
    predicted: figures.sequential ? planned(true) : found,
  }));
  if (json) process.stdout.write(`${JSON.stringify({ hardware: hardware.name, ...found, published })}\n`);
  else process.stdout.write(formatPlan(found) + published.map((p) => beside(p.predicted, p.figures)).join(''));
  if (found.shortages.length > 0) process.exitCode = 1;
}

type Published = ReturnType<typeof import('../planning/hardware.js').publishedFor>[number];

/** Published figures with the predicted ones where there are such. */
function beside({ policies, experts }: Plan, published: Published): string {
  const { decode, ttft, source, expertsResident, sequential } = published;
  const share = (part: number) => `${(100 * part).toFixed(1)}%`;
  const lines = Object.entries(decode).map(([policy, rate]) => {
    const ours = policies.find((p) => p.policy === policy);
    return `decode, ${policy}: ${rate} tokens/s${ours ? `, predicted ${compared(1000 / ours.decode.ms, rate)}` : ''}`;
  });
  for (const [policy, times] of Object.entries(ttft)) {
    const prefill = policies.find((p) => p.policy === policy)?.prefill ?? [];
    for (const { tokens, ms } of prefill) {
      const seconds = times[tokens];
      if (seconds)
        lines.push(`first token of ${tokens}, ${policy}: ${seconds} s, predicted ${compared(ms / 1000, seconds)}`);
    }
  }
  const resident = `with ${share(expertsResident)} of the experts resident, here ${share(experts.resident / experts.total)}`;
  const how = sequential ? ', predicted with one lane after another, as the measured system has it' : '';
  return `\nPublished (${source}), ${resident}${how}:\n${lines.map((line) => `  ${line}\n`).join('')}`;
}

function compared(ours: number, published: number): string {
  const percent = 100 * (ours / published - 1);
  return `${figure(ours)} (${percent >= 0 ? '+' : '−'}${Math.abs(percent).toFixed(0)}%)`;
}
