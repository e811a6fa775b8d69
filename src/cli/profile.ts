import { accessSync, constants, readFileSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { Command } from 'commander';
import { FiddlerError } from '../errors.js';
import type { Profile } from '../experts/profile.js';
import type { Model, Prompt } from '../index.js';
import { Ending } from './ending.js';
import { heatMapSvg } from './heat-map-svg.js';
import { addModelArgument } from './model.js';
import { openModel } from './open.js';
import { addCommon, addLoadOptions, type ModelFlags } from './options.js';
import { tokens } from './parse.js';
import { formatProfileReport, type HeldOut, heldOut, residencies } from './profile-report.js';
import { countingProgress } from './progress.js';
import { readPrompt } from './prompt.js';
import { warn } from './warn.js';

/** Share of experts for which `--held-out` is judged. */
const RESIDENT = 0.25;

const EXAMPLES = `
fiddler profile --data book.txt
fiddler profile ~/models/Mixtral-8x7B-v0.1 --data wiki/*.txt --svg experts.svg
fiddler profile ~/models/Mixtral-8x7B-v0.1 --held-out other.txt --experts-resident 25%
fiddler profile                              # shows what is stored`;

interface ProfileFlags extends ModelFlags {
  data?: string[];
  heldOut?: string[];
  tokens?: boolean;
  svg?: string;
  out?: string;
  json?: boolean;
}

export function addProfile(program: Command): void {
  const command = program
    .command('profile')
    .summary('count which experts a text chooses')
    .description(
      'Counts how often each expert is chosen over texts, shows it as a heat map, and stores it: whenever the model is loaded from then on, its most popular experts are resident first. Without --data it shows what is stored, to which `run` and `chat` add unless told --no-learn.',
    )
    .option('--data <file...>', 'texts to count over, in place of what is stored; - is stdin')
    .option(
      '--held-out <file...>',
      'other texts: the hit rate that the profile gives there, beside those without it, the best and the worst possible (at --experts-resident, 25% by default)',
    )
    .option('--tokens', 'files hold token ids, such as 1,17,42, in place of text')
    .option('--svg <file>', 'write the heat map as a drawing')
    .option('--out <file>', 'write the profile to this file, for --profile, and store nothing')
    .option('--json', 'one JSON object');
  addLoadOptions(addModelArgument(command));
  addCommon(command, EXAMPLES).action((_: unknown, flags: ProfileFlags) => profile(flags));
}

async function profile(flags: ProfileFlags): Promise<void> {
  const ending = new Ending();
  const { signal } = ending;
  for (const file of [flags.out, flags.svg]) if (file !== undefined) checkWritable(file);
  const data = await readTexts(flags.data, flags, signal);
  const other = await readTexts(flags.heldOut, flags, signal);
  let counted = data ? undefined : await stored(flags);
  let apart: HeldOut | undefined;
  if (data || other) {
    const model = await openModel(flags, signal);
    try {
      if (data) counted = await count(model, data, signal);
      if (other) apart = heldOut(counted!, await count(model, other, signal), flags.expertsResident ?? RESIDENT);
    } finally {
      await model.close();
    }
    if (data) await keep(counted!, flags);
  }
  if (flags.svg) write(flags.svg, heatMapSvg(`${counted!.model}: ${counted!.tokens} tokens`, counted!.counts));
  const text = flags.json
    ? `${JSON.stringify({ ...counted, residencies: residencies(counted!), heldOut: apart })}\n`
    : formatProfileReport(counted!, apart);
  process.stdout.write(text);
}

/** What each file holds; undefined where none is named. @throws FiddlerError `file` */
async function readTexts(
  files: readonly string[] | undefined,
  { tokens: ids }: ProfileFlags,
  signal: AbortSignal,
): Promise<Prompt[] | undefined> {
  if (!files) return undefined;
  const texts: Prompt[] = [];
  for (const file of files) {
    const text = file === '-' ? ((await readPrompt(file, signal)) ?? '') : readText(file);
    if (text === '') throw new FiddlerError('usage', `there is no text in ${file}`, 'give files of text');
    texts.push(ids ? parseIds(file, text) : text);
  }
  return texts;
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const problem = `cannot read ${file}: ${(error as Error).message}`;
    throw new FiddlerError('file', problem, 'give files of text', { cause: error });
  }
}

function parseIds(file: string, text: string): number[] {
  try {
    return tokens(text);
  } catch (error) {
    const problem = `${file} holds something else than token ids`;
    throw new FiddlerError('file', problem, 'separate them by commas or white space, such as 1,17,42', {
      cause: error,
    });
  }
}

async function count(model: Model, texts: readonly Prompt[], signal: AbortSignal): Promise<Profile> {
  const progress = await countingProgress();
  try {
    return await model.profile(texts, { signal, onProgress: progress.update });
  } finally {
    progress.stop();
  }
}

/** The profile that a load with these flags would take. @throws FiddlerError `usage` where there is none */
async function stored(flags: ProfileFlags): Promise<Profile> {
  const { folderProfile } = await import('../loading/popularity.js'); // slow to import, and not needed for the help
  const found = folderProfile(flags.model, { profile: flags.profile, onWarning: warn });
  if (!found)
    throw new FiddlerError('usage', 'no profile of this model is stored', 'count over a text with --data FILE');
  return found;
}

/** Writes the profile where the flags say, else stores it. @throws FiddlerError `file` */
async function keep(counted: Profile, { out }: ProfileFlags): Promise<void> {
  const { storeProfile, writeProfile } = await import('../experts/profile-store.js');
  if (out !== undefined) writeProfile(out, counted);
  else storeProfile(counted);
  process.stderr.write(out === undefined ? 'stored: the model is placed by it from now on\n' : `wrote ${out}\n`);
}

function write(file: string, content: string): void {
  writing(file, () => writeFileSync(file, content));
}

/** Before hours of counting. @throws FiddlerError `file` */
function checkWritable(file: string): void {
  writing(file, () => accessSync(dirname(resolve(file)), constants.W_OK));
}

function writing(file: string, action: () => void): void {
  try {
    action();
  } catch (error) {
    const problem = `cannot write ${file}: ${(error as Error).message}`;
    throw new FiddlerError('file', problem, 'give another file', { cause: error });
  }
}
