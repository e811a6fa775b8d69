import type { GeneratedToken, Report } from '../../index.js';
import { eventsWith } from '../events.js';
import { newId, secondsNow } from '../ids.js';
import { merge } from '../merge.js';
import { type Part, Parts } from '../parts.js';
import type { Answer } from '../service.js';
import { chatLogprob } from './logprobs.js';
import { countsOf, openaiUsage } from './usage.js';

/** What an answer of /v1/chat/completions looks like beside its text. */
export interface ChatForm {
  model: string;
  /** The likeliest tokens to give with each; undefined gives no log-probabilities. */
  logprobs: number | undefined;
  includeUsage: boolean;
  /** Calls of tools in one answer. */
  mostCalls: number;
}

/** One answer as it grows. */
class Choice {
  readonly #parts: Parts;
  readonly logprobs: object[] = [];
  reasoningTokens = 0;

  constructor(private readonly form: ChatForm) {
    this.#parts = new Parts(form.mostCalls);
  }

  /** Adds a token. @returns what it adds to the message, and its log-probabilities */
  add(token: GeneratedToken): { deltas: object[]; logprobs: object | null } {
    if (token.channel === 'reasoning') this.reasoningTokens++;
    const isAnswer = token.channel === undefined || token.channel === 'answer';
    const logprob = this.form.logprobs !== undefined && isAnswer ? chatLogprob(token, this.form.logprobs) : undefined;
    if (logprob) this.logprobs.push(logprob);
    const deltas = this.#parts.add(token).map(({ part }) => deltaOf(part));
    if (logprob && deltas.length === 0) deltas.push({ content: '' });
    return { deltas, logprobs: logprob ? { content: [logprob], refusal: null } : null };
  }

  message(): object {
    const texts = (kind: string) =>
      this.#parts.all.map((part) => (part.kind === kind && part.kind !== 'call' ? part.text : '')).join('');
    const [content, reasoning] = [texts('text'), texts('reasoning')];
    const calls = this.#parts.all.filter((part) => part.kind === 'call');
    return {
      role: 'assistant',
      content: content === '' && calls.length > 0 ? null : content,
      refusal: null,
      ...(reasoning !== '' && { reasoning_content: reasoning }),
      ...(calls.length > 0 && {
        tool_calls: calls.map(({ id, name, arguments: text }) => ({
          id,
          type: 'function',
          function: { name, arguments: text },
        })),
      }),
    };
  }

  finish({ finish }: Report): string {
    if (finish === 'length') return 'length';
    return this.#parts.all.some(({ kind }) => kind === 'call') ? 'tool_calls' : 'stop';
  }
}

function deltaOf(part: Part): object {
  if (part.kind === 'text') return { content: part.text };
  if (part.kind === 'reasoning') return { reasoning_content: part.text };
  const { index, begins, arguments: text } = part;
  const call = begins
    ? { index, id: begins.id, type: 'function', function: { name: begins.name, arguments: text } }
    : { index, function: { arguments: text } };
  return { tool_calls: [call] };
}

function head(object: string, { model }: ChatForm): object {
  return { id: newId('chatcmpl-'), object, created: secondsNow(), model };
}

/** All answers at once. */
export async function wholeChat(answers: readonly Answer[], form: ChatForm): Promise<object> {
  const choices = answers.map(() => new Choice(form));
  const reports: Report[] = [];
  for await (const part of merge(answers)) {
    if ('done' in part) reports[part.index] = part.done;
    else choices[part.index]!.add(part.item);
  }
  return {
    ...head('chat.completion', form),
    choices: choices.map((choice, index) => ({
      index,
      message: choice.message(),
      logprobs: form.logprobs === undefined ? null : { content: choice.logprobs, refusal: null },
      finish_reason: choice.finish(reports[index]!),
    })),
    usage: usageOf(reports, choices),
  };
}

/** All answers as events of their parts. */
export async function* chatEvents(answers: readonly Answer[], form: ChatForm): AsyncGenerator<string> {
  const event = eventsWith(head('chat.completion.chunk', form));
  const usage = form.includeUsage ? null : undefined;
  const chunk = (index: number, delta: object, finish: string | null = null, logprobs: object | null = null) =>
    event({ choices: [{ index, delta, logprobs, finish_reason: finish }], usage });
  const choices = answers.map(() => new Choice(form));
  const reports: Report[] = [];
  let isFirst = true;
  for await (const part of merge(answers)) {
    if (isFirst) for (const index of answers.keys()) yield chunk(index, { role: 'assistant', content: '' });
    isFirst = false;
    const { index } = part;
    if ('done' in part) {
      reports[index] = part.done;
      yield chunk(index, {}, choices[index]!.finish(part.done));
    } else {
      const { deltas, logprobs } = choices[index]!.add(part.item);
      for (const [i, delta] of deltas.entries()) yield chunk(index, delta, null, i === 0 ? logprobs : null);
    }
  }
  if (form.includeUsage) yield event({ choices: [], usage: usageOf(reports, choices) });
  yield 'data: [DONE]\n\n';
}

function usageOf(reports: readonly Report[], choices: readonly Choice[]): object {
  return openaiUsage(
    countsOf(reports.map((report, index) => ({ report, reasoning: choices[index]!.reasoningTokens }))),
  );
}
