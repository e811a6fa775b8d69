import { readFileSync, statSync } from 'node:fs';
import type { Command } from 'commander';
import { FiddlerError } from '../errors.js';
import type { Prompt, ScoredText, Scoring } from '../index.js';
import { MOST_LOGPROBS } from '../options.js';
import { Ending } from './ending.js';
import { addModelName } from './model.js';
import { openModel } from './open.js';
import { addCommon, addLoadOptions, type ModelFlags } from './options.js';
import { integer, tokens } from './parse.js';
import { readPrompt, refuseBoth } from './prompt.js';
import { formatReport, plural } from './report.js';

const EXAMPLES = `
fiddler score "The old house stood on the hill."
fiddler score chapter.txt -m ~/models/Mixtral-8x7B-v0.1
fiddler score --tokens 1,17,42 --json --logprobs 5 -m DIR`;

interface ScoreFlags extends ModelFlags {
  tokens?: number[];
  json?: boolean;
  logprobs: number;
}

export function addScore(program: Command): void {
  const command = program
    .command('score')
    .summary('how likely a text is')
    .description(
      'Prints the natural log-probability of each token given those before it, and the perplexity. A control token that is written out in the text (</s>) is that token, as in the reference tokenizers.',
    )
    .argument('[text]', 'a text, or the path of a file that holds one; "-" or a pipe reads it from stdin')
    .option('--tokens <ids>', 'token ids in place of a text, e.g. 1,17,42', tokens);
  addLoadOptions(addModelName(command))
    .option(
      '--logprobs <k>',
      'add the k likeliest tokens of each position and their log-probabilities',
      integer(0, MOST_LOGPROBS),
      0,
    )
    .option(
      '--json',
      'one JSON object a line: {"position", "token", "logprob", "top", "text"} each, then {"report", "perplexity"}',
    );
  addCommon(command, EXAMPLES).action(score);
}

async function score(argument: string | undefined, flags: ScoreFlags): Promise<void> {
  refuseBoth(argument, flags.tokens);
  const ending = new Ending();
  const prompt = flags.tokens ?? (await readText(argument, ending.signal));

  const model = await openModel(flags, ending.signal);
  try {
    const scoring = model.score(prompt, { logprobs: flags.logprobs, signal: ending.signal });
    const scored = await writePositions(
      scoring,
      flags.json ? (position) => `${JSON.stringify(position)}` : formatPosition,
    );
    const report = await scoring.report;
    const perplexity = perplexityOf(scored);
    if (flags.json) process.stdout.write(`${JSON.stringify({ report, perplexity })}\n`);
    else process.stdout.write(`perplexity ${perplexity?.toFixed(4) ?? '-'} over ${plural(scored.length, 'token')}\n`);
    if (!flags.json && !ending.outputClosed) process.stderr.write(`\n${formatReport(report)}`);
  } finally {
    await model.close();
  }
  ending.throwIfEnded();
}

async function readText(argument: string | undefined, signal: AbortSignal): Promise<Prompt> {
  const text = await readPrompt(argument, signal);
  if (text === undefined) throw new FiddlerError('usage', 'there is no text', 'give one, pipe it in, or give --tokens');
  if (text !== argument) return text;
  if (statSync(text, { throwIfNoEntry: false })?.isFile()) return readFileSync(text, 'utf8');
  if (!looksLikeFile(text)) return text;
  const remedy = `check its name; a text that looks like one comes from a pipe: echo ${text} | fiddler score -`;
  throw new FiddlerError('file', `there is no file ${text}`, remedy);
}

/** One word with a slash, or with what ends the names of files. */
function looksLikeFile(text: string): boolean {
  return /^\S*([/\\]|\.\w{1,5}$)\S*$/.test(text);
}

/** Writes a line a position; gives the log-probabilities. */
async function writePositions(scoring: Scoring, format: (position: ScoredText) => string): Promise<number[]> {
  const logprobs: number[] = [];
  for await (const position of scoring) {
    process.stdout.write(`${format(position)}\n`);
    if (position.logprob !== undefined) logprobs.push(position.logprob);
  }
  return logprobs;
}

function formatPosition({ position, token, logprob, top, text }: ScoredText): string {
  const columns = [`${position}`.padStart(6), `${token}`.padStart(7), (logprob?.toFixed(4) ?? '-').padStart(10)];
  const likeliest = top?.map((t) => `${t.token}:${t.logprob.toFixed(4)}`) ?? [];
  return [...columns, ` ${JSON.stringify(text)}`, ...likeliest].join(' ');
}

/** exp of the mean negative log-probability; null where nothing was scored. */
function perplexityOf(logprobs: readonly number[]): number | null {
  if (logprobs.length === 0) return null;
  return Math.exp(-logprobs.reduce((sum, logprob) => sum + logprob, 0) / logprobs.length);
}
