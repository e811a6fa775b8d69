import { type Command, Option } from 'commander';
import { FiddlerError } from '../errors.js';
import type { BeamOptions, Choice, Choices, GenerateOptions, Model } from '../index.js';
import { MOST_SEQUENCES } from '../options.js';
import { generateOptions, type SamplingFlags } from './options.js';
import { integer, number } from './parse.js';
import { formatReport, plural } from './report.js';

export interface ChoiceFlags {
  beams?: number;
  lengthPenalty?: number;
  earlyStopping?: 'true' | 'false' | 'never';
  bestOf?: number;
  numReturn?: number;
}

/** Options that ask for several answers. */
export function addChoiceOptions(command: Command): Command {
  const count = integer(1, MOST_SEQUENCES);
  return command
    .option('--beams <n>', 'search for the likeliest text with so many beams, in place of sampling', count)
    .option('--length-penalty <x>', 'with --beams: above 0 longer texts gain (default: 1)', number(-100, 100))
    .addOption(
      new Option(
        '--early-stopping <when>',
        'with --beams: end at as many texts as beams (true), when the likeliest beam scores less than those (false), or when none can score more (never) (default: false)',
      ).choices(['true', 'false', 'never']),
    )
    .option('--best-of <n>', 'sample so many texts and print the one of the largest mean log-probability', count)
    .option('--num-return <n>', 'give so many of the beams, or of the sampled texts, the best first', count);
}

/** How several answers are asked for, and for how many sequences that needs a model loaded; undefined where one is. */
export function askedChoices(flags: ChoiceFlags & SamplingFlags & { logprobs?: number; json?: boolean }):
  | {
      sequences: number;
      ask: (model: Model, prompt: Parameters<Model['choices']>[0], signal: AbortSignal) => Promise<Choices>;
    }
  | undefined {
  const { beams, bestOf, numReturn, json } = flags;
  const n = numReturn ?? (json ? (beams ?? bestOf) : 1);
  if (beams !== undefined) {
    const options = { ...beamOptions(flags, beams), n };
    return { sequences: beams, ask: (model, prompt, signal) => model.beams(prompt, { ...options, signal }) };
  }
  refuse(
    flags.lengthPenalty !== undefined || flags.earlyStopping !== undefined,
    '--length-penalty and --early-stopping are of beams',
    'give --beams',
  );
  if (bestOf === undefined && numReturn === undefined) return undefined;
  const most = bestOf ?? numReturn!;
  refuse((numReturn ?? 1) > most, `--num-return ${numReturn} is more than --best-of ${most}`, 'sample as many or more');
  refuse(flags.logprobs !== undefined, '--logprobs is of one text', 'leave out --best-of and --num-return');
  const options: GenerateOptions = generateOptions(flags);
  return {
    sequences: most,
    ask: (model, prompt, signal) => model.choices(prompt, { ...options, n, bestOf: most, signal }),
  };
}

function beamOptions(flags: ChoiceFlags & SamplingFlags & { logprobs?: number }, beams: number): BeamOptions {
  const { lengthPenalty, earlyStopping, maxTokens, numReturn, stop, repetitionPenalty, logprobs, bestOf } = flags;
  refuse(bestOf !== undefined, 'both --beams and --best-of were given', 'give one of them');
  refuse(
    (numReturn ?? 1) > beams,
    `--num-return ${numReturn} is more than --beams ${beams}`,
    'search with as many beams or more',
  );
  const sampled = stop?.length ? '--stop' : logprobs !== undefined ? '--logprobs' : undefined;
  const named = repetitionPenalty === undefined || repetitionPenalty === 1 ? sampled : '--repetition-penalty';
  refuse(named !== undefined, `a beam search goes without ${named}`, 'leave it out, or sample');
  return {
    beams,
    maxTokens,
    lengthPenalty,
    earlyStopping: earlyStopping === 'never' ? earlyStopping : earlyStopping === 'true',
  };
}

function refuse(wrong: boolean, problem: string, remedy: string): void {
  if (wrong) throw new FiddlerError('usage', problem, remedy);
}

/** One object a choice, then the reports. */
export function writeChoicesJson({ choices, reports }: Choices): void {
  for (const choice of choices) process.stdout.write(`${JSON.stringify({ choice })}\n`);
  process.stdout.write(`${JSON.stringify({ reports })}\n`);
}

/** The texts, each behind `beginning`; of several each has a line with its number and score before it. */
export function writeChoices({ choices }: Choices, beginning: string): void {
  for (const [i, choice] of choices.entries()) {
    if (choices.length > 1) process.stdout.write(headOf(choice, i));
    process.stdout.write(`${beginning}${choice.text.replace(/\n$/, '')}\n`);
  }
}

function headOf({ score }: Choice, i: number): string {
  return `${i > 0 ? '\n' : ''}${i + 1}. (score ${score.toFixed(4)})\n`;
}

/** What was done for all, and the report of the best. */
export function formatReports({ reports }: Choices, seconds: number): string {
  const tokens = reports.reduce((sum, { generatedTokens }) => sum + generatedTokens, 0);
  const together =
    reports.length > 1
      ? `${plural(reports.length, 'text')} with ${plural(tokens, 'token')} in ${seconds.toFixed(2)} s; of the best:\n`
      : '';
  return `${together}${formatReport(reports[0]!)}`;
}
