import { readFileSync } from 'node:fs';

/** The golden prompts of mini-mixtral, each with its greedy continuation. */
export const GOLDEN_TEXTS: readonly string[] = JSON.parse(
  readFileSync('test/golden/mini-mixtral/expected.json', 'utf8'),
).cases.map(({ prompt, greedy_text }: { prompt: string; greedy_text: string }) => prompt + greedy_text);

/** A text of the same style that is none of them. */
export const TALE_FILE = 'test/texts/tale.txt';
