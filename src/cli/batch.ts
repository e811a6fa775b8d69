import { realpathSync, statSync } from 'node:fs';
import type { Command } from 'commander';
import { FiddlerError } from '../errors.js';
import { MOST_SEQUENCES } from '../options.js';
import { Ending } from './ending.js';
import { addModelName } from './model.js';
import { openModel } from './open.js';
import { addCommon, addLearningOptions, addLoadOptions, type ModelFlags } from './options.js';
import { integer, several } from './parse.js';

const EXAMPLES = `
fiddler batch questions.jsonl --output answers.jsonl -m ~/models/Qwen3-30B-A3B
fiddler batch questions.jsonl --output answers.jsonl --parallel 16 --alias gpt-4o-mini`;

interface BatchFlags extends ModelFlags {
  output: string;
  parallel: number;
  alias?: string[];
}

export function addBatch(program: Command): void {
  const command = program
    .command('batch')
    .summary('answer a file of requests')
    .description(
      'Answers the requests of a file in the format of OpenAI\'s batches, one a line: {"custom_id", "url", "body"}, where the body is what /v1/chat/completions or /v1/completions takes. Answers are written as they are finished. Begun again with the same files it goes on where it stopped; a line that cannot be read gives a record that says why.',
    )
    .argument('<input>', 'file of requests')
    .requiredOption('--output <file>', 'file of answers; what it has already is not done again')
    .option('--parallel <n>', 'answers that are generated at the same time', integer(1, MOST_SEQUENCES), 8)
    .option(
      '--alias <name>',
      'name by which requests call the model, in place of its own; may be given several times',
      several,
    );
  addLearningOptions(addLoadOptions(addModelName(command)));
  addCommon(command, EXAMPLES).action(batch);
}

async function batch(input: string, flags: BatchFlags): Promise<void> {
  if (!statSync(input, { throwIfNoEntry: false })?.isFile()) {
    throw new FiddlerError('file', `there is no file ${input}`, 'give the path of a file of requests');
  }
  if (statSync(flags.output, { throwIfNoEntry: false }) && realpathSync(input) === realpathSync(flags.output)) {
    throw new FiddlerError('usage', 'the file of requests is the file of answers', 'give another --output');
  }
  const { answerFile, BatchOutput } = await import('./batch-run.js');
  const output = await BatchOutput.open(flags.output);
  const ending = new Ending();
  try {
    const model = await openModel({ ...flags, sequences: flags.parallel }, ending.signal);
    try {
      const { parallel, alias: aliases = [] } = flags;
      process.stderr.write(await answerFile(input, output, { model, parallel, aliases, signal: ending.signal }));
    } finally {
      await model.close();
    }
  } finally {
    output.close();
  }
  ending.throwIfEnded();
}
