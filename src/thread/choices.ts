import type { ChoicesOptions, GenerateOptions } from '../options.js';
import type { Choice, Choices, Report } from '../report.js';
import type { FoundAnswer } from '../sampling/beam-search.js';
import type { Generation } from './generation.js';

/** @param textOf the text of an answer's tokens */
export function choiceOf(
  { tokens, ended, logprob, score }: FoundAnswer,
  textOf: (tokens: readonly number[]) => string,
): Choice {
  const own = ended ? tokens.slice(0, -1) : [...tokens];
  return { tokens: own, text: textOf(own), finish: ended ? 'end' : 'length', logprob, score };
}

/** Samples `bestOf` answers side by side, each with a seed of its own, and gives the likeliest `n`. Where one fails all end. */
export async function sample(
  generate: (options: GenerateOptions) => Generation,
  { n = 1, bestOf = n, signal, ...options }: ChoicesOptions,
): Promise<Choices> {
  const failed = new AbortController();
  const ended = signal ? AbortSignal.any([signal, failed.signal]) : failed.signal;
  const { seed } = options;
  const one = (i: number) =>
    sampleOne(generate({ ...options, seed: seed === undefined ? seed : seed + i, logprobs: 1, signal: ended }));
  try {
    const all = await Promise.all(Array.from({ length: bestOf }, (_, i) => one(i)));
    all.sort((a, b) => b.choice.score - a.choice.score);
    return { choices: all.slice(0, n).map(({ choice }) => choice), reports: all.map(({ report }) => report) };
  } catch (error) {
    failed.abort();
    throw error;
  }
}

async function sampleOne(generation: Generation): Promise<{ choice: Choice; report: Report }> {
  const tokens: number[] = [];
  let text = '';
  for await (const each of generation.tokens()) {
    tokens.push(each.token);
    text += each.text;
  }
  const report = await generation.report;
  const { generatedTokens, finish, logprob = 0 } = report;
  const score = generatedTokens > 0 ? logprob / generatedTokens : Number.NEGATIVE_INFINITY; // it was ended before
  return { choice: { tokens, text, finish, logprob, score }, report };
}
