import type { Command } from 'commander';
import { FiddlerError } from '../errors.js';
import type { Choices, Generation, Model, Prompt } from '../index.js';
import { MOST_LOGPROBS } from '../options.js';
import {
  addChoiceOptions,
  askedChoices,
  type ChoiceFlags,
  formatReports,
  writeChoices,
  writeChoicesJson,
} from './choices.js';
import { Ending } from './ending.js';
import { addModelName } from './model.js';
import { openModel } from './open.js';
import {
  addCommon,
  addLearningOptions,
  addLoadOptions,
  addSamplingOptions,
  generateOptions,
  type ModelFlags,
  type SamplingFlags,
} from './options.js';
import { BUNDLED_MODEL } from './package.js';
import { integer, tokens } from './parse.js';
import { readPrompt, refuseBoth } from './prompt.js';
import { formatReport } from './report.js';

const DEFAULT_PROMPT = 'Once upon a time';

const EXAMPLES = `
fiddler run
fiddler run "The old house stood" --max-tokens 100
echo "It was a dark night" | fiddler run --temperature 0
fiddler run "Dear Sir," -m ~/models/Mixtral-8x7B-v0.1 --gpu-memory 24GiB
fiddler run "The old house" --beams 4 --num-return 2 --max-tokens 40
fiddler run "The old house" --best-of 8 --temperature 1
fiddler run --tokens 1,17,42 --json --logprobs 5 -m DIR`;

interface RunFlags extends ModelFlags, SamplingFlags, ChoiceFlags {
  tokens?: number[];
  json?: boolean;
  logprobs?: number;
}

export function addRun(program: Command): void {
  const command = program
    .command('run')
    .summary('continue a text')
    .description(
      'Continues a text: what is generated goes to stdout, the report of what ran where to stderr. A control token that is written out in the text (</s>) is that token, as in the reference tokenizers.',
    )
    .argument(
      '[prompt]',
      `text to continue; "-" or a pipe reads it from stdin. Without one the bundled model tells a story that begins "${DEFAULT_PROMPT}", printed with that beginning`,
    )
    .option('--tokens <ids>', 'token ids in place of a prompt, e.g. 1,17,42', tokens);
  addLearningOptions(addLoadOptions(addModelName(command)));
  addChoiceOptions(addSamplingOptions(command))
    .option(
      '--json',
      'one JSON object a line: {"token", "text"} each, then {"report"}; of several texts {"choice"} each, all unless --num-return says how many, then {"reports"}',
    )
    .option(
      '--logprobs <k>',
      'with --json, add the k likeliest tokens and their log-probabilities as "top"',
      integer(0, MOST_LOGPROBS),
    );
  addCommon(command, EXAMPLES).action(run);
}

async function run(argument: string | undefined, flags: RunFlags): Promise<void> {
  refuseBoth(argument, flags.tokens);
  if (flags.logprobs && !flags.json)
    throw new FiddlerError('usage', '--logprobs has no place in plain text', 'add --json');
  const several = askedChoices(flags);
  const ending = new Ending();
  const given = flags.tokens ?? (await readPrompt(argument, ending.signal));
  const prompt = given ?? defaultPrompt(flags.model);

  const model = await openModel({ ...flags, sequences: several?.sequences }, ending.signal);
  const beginning = given === undefined ? DEFAULT_PROMPT : '';
  try {
    if (several) await tellSeveral(() => several.ask(model, prompt, ending.signal), flags, beginning, ending);
    else await tellOne(model, prompt, flags, beginning, ending);
  } finally {
    await model.close();
  }
  ending.throwIfEnded();
}

async function tellOne(
  model: Model,
  prompt: Prompt,
  flags: RunFlags,
  beginning: string,
  ending: Ending,
): Promise<void> {
  const options = { ...generateOptions(flags), logprobs: flags.logprobs, expected: true, signal: ending.signal };
  const generation = model.generate(prompt, options);
  if (flags.json) await writeJson(generation);
  else await writeText(generation, beginning);
  const report = await generation.report;
  if (!flags.json && !ending.outputClosed) process.stderr.write(`\n${formatReport(report)}`);
}

async function tellSeveral(
  ask: () => Promise<Choices>,
  { json }: RunFlags,
  beginning: string,
  ending: Ending,
): Promise<void> {
  const begin = performance.now();
  const found = await ask();
  if (json) return writeChoicesJson(found);
  writeChoices(found, beginning);
  const seconds = (performance.now() - begin) / 1000;
  if (!ending.outputClosed) process.stderr.write(`\n${formatReports(found, seconds)}`);
}

function defaultPrompt(model: string): string {
  if (model === BUNDLED_MODEL) return DEFAULT_PROMPT;
  throw new FiddlerError('usage', 'there is no prompt', 'give a text, pipe one in, or give --tokens');
}

async function writeJson(generation: Generation): Promise<void> {
  for await (const token of generation.tokens()) process.stdout.write(`${JSON.stringify(token)}\n`);
  process.stdout.write(`${JSON.stringify({ report: await generation.report })}\n`);
}

/** Writes `beginning` and the text as it comes; whatever happens, a line that was begun is ended. */
async function writeText(generation: Generation, beginning: string): Promise<void> {
  process.stdout.write(beginning);
  let last = beginning;
  try {
    for await (const piece of generation) {
      process.stdout.write(piece);
      last = piece;
    }
  } finally {
    if (last !== '' && !last.endsWith('\n')) process.stdout.write('\n');
  }
}
