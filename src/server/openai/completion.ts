import type { GeneratedToken, Report } from '../../index.js';
import { eventsWith } from '../events.js';
import { newId, secondsNow } from '../ids.js';
import { merge } from '../merge.js';
import type { Answer } from '../service.js';
import { textLogprobs } from './logprobs.js';
import { type Counts, countsOf, openaiUsage } from './usage.js';

/** What an answer of /v1/completions looks like beside its text. */
export interface CompletionForm {
  model: string;
  /** The likeliest tokens to give with each; undefined gives no log-probabilities. */
  logprobs: number | undefined;
  includeUsage: boolean;
  /** Answers to each prompt; those to one prompt follow each other. */
  each: number;
}

function head({ model }: CompletionForm): object {
  return { id: newId('cmpl-'), object: 'text_completion', created: secondsNow(), model };
}

const finishOf = ({ finish }: Report) => (finish === 'length' ? 'length' : 'stop');

/** All answers at once. */
export async function wholeCompletion(answers: readonly Answer[], form: CompletionForm): Promise<object> {
  const tokens: GeneratedToken[][] = answers.map(() => []);
  const reports: Report[] = [];
  for await (const part of merge(answers)) {
    if ('done' in part) reports[part.index] = part.done;
    else tokens[part.index]!.push(part.item);
  }
  return {
    ...head(form),
    choices: tokens.map((of, index) => ({
      index,
      text: of.map(({ text }) => text).join(''),
      logprobs: form.logprobs === undefined ? null : textLogprobs(of, form.logprobs, 0),
      finish_reason: finishOf(reports[index]!),
    })),
    usage: usageOf(reports, form),
  };
}

/** All answers as events of their parts. */
export async function* completionEvents(answers: readonly Answer[], form: CompletionForm): AsyncGenerator<string> {
  const event = eventsWith(head(form));
  const usage = form.includeUsage ? null : undefined;
  const chunk = (index: number, text: string, finish: string | null, logprobs: object | null) =>
    event({ choices: [{ index, text, logprobs, finish_reason: finish }], usage });
  const lengths = answers.map(() => 0);
  const reports: Report[] = [];
  for await (const part of merge(answers)) {
    const { index } = part;
    if ('done' in part) {
      reports[index] = part.done;
      yield chunk(index, '', finishOf(part.done), null);
      continue;
    }
    const { text } = part.item;
    const logprobs = form.logprobs === undefined ? null : textLogprobs([part.item], form.logprobs, lengths[index]!);
    lengths[index]! += text.length;
    if (text !== '' || logprobs) yield chunk(index, text, null, logprobs);
  }
  if (form.includeUsage) yield event({ choices: [], usage: usageOf(reports, form) });
  yield 'data: [DONE]\n\n';
}

/** The sum over all prompts. */
function usageOf(reports: readonly Report[], { each }: CompletionForm): object {
  const sum: Counts = { prompt: 0, cached: 0, generated: 0, reasoning: 0 };
  for (let from = 0; from < reports.length; from += each) {
    const counts = countsOf(reports.slice(from, from + each).map((report) => ({ report, reasoning: 0 })));
    for (const key of Object.keys(sum) as (keyof Counts)[]) sum[key] += counts[key];
  }
  return openaiUsage(sum);
}
