import type { Command } from 'commander';
import { FiddlerError } from '../errors.js';
import type { Generation } from '../index.js';
import { Ending } from './ending.js';
import { openModel } from './open.js';
import {
  addCommon,
  addLearningOptions,
  addModelOptions,
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
fiddler run "Dear Sir," --model ~/models/Mixtral-8x7B-v0.1 --gpu-memory 24GiB
fiddler run --tokens 1,17,42 --json --logprobs 5 --model DIR`;

interface RunFlags extends ModelFlags, SamplingFlags {
  tokens?: number[];
  json?: boolean;
  logprobs?: number;
}

export function addRun(program: Command): void {
  const command = program
    .command('run')
    .summary('continue a text')
    .description('Continues a text: what is generated goes to stdout, the report of what ran where to stderr.')
    .argument(
      '[prompt]',
      `text to continue; "-" or a pipe reads it from stdin. Without one the bundled model tells a story that begins "${DEFAULT_PROMPT}", printed with that beginning`,
    )
    .option('--tokens <ids>', 'token ids in place of a prompt, e.g. 1,17,42', tokens);
  addLearningOptions(addModelOptions(command));
  addSamplingOptions(command)
    .option('--json', 'one JSON object a line: {"token", "text"} each, then {"report"}')
    .option(
      '--logprobs <k>',
      'with --json, add the k likeliest tokens and their log-probabilities as "top"',
      integer(0),
    );
  addCommon(command, EXAMPLES).action(run);
}

async function run(argument: string | undefined, flags: RunFlags): Promise<void> {
  refuseBoth(argument, flags.tokens);
  if (flags.logprobs && !flags.json)
    throw new FiddlerError('usage', '--logprobs has no place in plain text', 'add --json');
  const ending = new Ending();
  const given = flags.tokens ?? (await readPrompt(argument, ending.signal));
  const prompt = given ?? defaultPrompt(flags.model);

  const model = await openModel(flags, ending.signal);
  try {
    const options = { ...generateOptions(flags), logprobs: flags.logprobs, expected: true, signal: ending.signal };
    const generation = model.generate(prompt, options);
    if (flags.json) await writeJson(generation);
    else await writeText(generation, given === undefined ? DEFAULT_PROMPT : '');
    const report = await generation.report;
    if (!flags.json && !ending.outputClosed) process.stderr.write(`\n${formatReport(report)}`);
  } finally {
    await model.close();
  }
  ending.throwIfEnded();
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
