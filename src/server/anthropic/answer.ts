import type { Report } from '../../index.js';
import { event } from '../events.js';
import { newId } from '../ids.js';
import { type Part, Parts, type WholePart } from '../parts.js';
import type { Answer } from '../service.js';

/** What an answer of /v1/messages looks like beside its blocks. */
export interface MessageForm {
  model: string;
  mostCalls: number;
  promptTokens: number;
}

function head({ model }: MessageForm): object {
  return { id: newId('msg_'), type: 'message', role: 'assistant', model };
}

/** Why it ended. */
function ending({ finish, stop }: Report, parts: Parts): object {
  if (stop !== undefined) return { stop_reason: 'stop_sequence', stop_sequence: stop };
  const called = parts.all.some(({ kind }) => kind === 'call');
  return { stop_reason: finish === 'length' ? 'max_tokens' : called ? 'tool_use' : 'end_turn', stop_sequence: null };
}

function usageOf({ promptTokens, cachedTokens, generatedTokens }: Report): object {
  return {
    input_tokens: promptTokens - cachedTokens,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: cachedTokens,
    output_tokens: generatedTokens,
  };
}

function blockOf(part: WholePart): object {
  if (part.kind === 'text') return { type: 'text', text: part.text };
  if (part.kind === 'reasoning') return { type: 'thinking', thinking: part.text, signature: '' };
  return { type: 'tool_use', id: part.id, name: part.name, input: inputOf(part.arguments) };
}

/** Arguments that were cut off are no JSON. */
function inputOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

/** An answer at once. */
export async function wholeMessage(answer: Answer, form: MessageForm): Promise<object> {
  const parts = new Parts(form.mostCalls);
  for (;;) {
    const { done, value } = await answer.next();
    if (!done) parts.add(value);
    else return { ...head(form), content: parts.all.map(blockOf), ...ending(value, parts), usage: usageOf(value) };
  }
}

/** An answer as events of its blocks. */
export async function* messageEvents(answer: Answer, form: MessageForm): AsyncGenerator<string> {
  const named = (type: string, data: object) => event({ type, ...data }, type);
  const usage = { input_tokens: form.promptTokens, output_tokens: 0 };
  const start = { ...head(form), content: [], stop_reason: null, stop_sequence: null, usage };
  const parts = new Parts(form.mostCalls);
  const stop = () => named('content_block_stop', { index: parts.all.length - 1 });
  try {
    for (let isFirst = true; ; isFirst = false) {
      const { done, value } = await answer.next();
      if (isFirst) yield named('message_start', { message: start });
      if (done) {
        if (parts.all.length > 0) yield stop();
        yield named('message_delta', { delta: ending(value, parts), usage: usageOf(value) });
        yield named('message_stop', {});
        return;
      }
      for (const { part, at: index, isNew } of parts.add(value)) {
        if (isNew && index > 0) yield named('content_block_stop', { index: index - 1 });
        if (isNew) yield named('content_block_start', { index, content_block: empty(part) });
        const delta = deltaOf(part);
        if (delta) yield named('content_block_delta', { index, delta });
      }
    }
  } finally {
    void answer.return(undefined as never).catch(() => {});
  }
}

function empty(part: Part): object {
  if (part.kind === 'text') return { type: 'text', text: '' };
  if (part.kind === 'reasoning') return { type: 'thinking', thinking: '', signature: '' };
  return { type: 'tool_use', ...part.begins, input: {} };
}

function deltaOf(part: Part): object | undefined {
  if (part.kind === 'text') return { type: 'text_delta', text: part.text };
  if (part.kind === 'reasoning') return { type: 'thinking_delta', thinking: part.text };
  return part.arguments === '' ? undefined : { type: 'input_json_delta', partial_json: part.arguments };
}
