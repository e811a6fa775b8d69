import type { Report } from '../../index.js';
import { event } from '../events.js';
import { newId, secondsNow } from '../ids.js';
import { Parts, type WholePart } from '../parts.js';
import type { Answer } from '../service.js';

/** What an answer of /v1/responses looks like beside its items. */
export interface ResponseForm {
  model: string;
  mostCalls: number;
  /** Fields of the request that the answer repeats. */
  asked: object;
}

/** An item of the output, with the id that it keeps. */
interface Item {
  id: string;
  part: WholePart;
}

const PREFIXES = { text: 'msg_', reasoning: 'rs_', call: 'fc_' };

function itemOf({ id, part }: Item, status: 'in_progress' | 'completed'): object {
  if (part.kind === 'reasoning') return { id, type: 'reasoning', summary: [], content: [contentOf(part)] };
  if (part.kind === 'text') return { id, type: 'message', role: 'assistant', status, content: [contentOf(part)] };
  return { id, type: 'function_call', status, call_id: part.id, name: part.name, arguments: part.arguments };
}

function contentOf({ kind, text }: { kind: 'reasoning' | 'text'; text: string }): object {
  return kind === 'text'
    ? { type: 'output_text', text, annotations: [], logprobs: [] }
    : { type: 'reasoning_text', text };
}

/** A response in the state that it is in. */
class Growing {
  readonly items: Item[] = [];
  readonly #parts: Parts;
  #reasoning = 0;
  readonly #id = newId('resp_');
  readonly #created = secondsNow();

  constructor(private readonly form: ResponseForm) {
    this.#parts = new Parts(form.mostCalls);
  }

  add(token: Parameters<Parts['add']>[0]) {
    if (token.channel === 'reasoning') this.#reasoning++;
    const added = this.#parts.add(token);
    for (const part of this.#parts.all.slice(this.items.length))
      this.items.push({ id: newId(PREFIXES[part.kind]), part });
    return added;
  }

  object(report?: Report): object {
    const cut = report?.finish === 'length';
    return {
      id: this.#id,
      object: 'response',
      created_at: this.#created,
      status: report ? (cut ? 'incomplete' : 'completed') : 'in_progress',
      incomplete_details: cut ? { reason: 'max_output_tokens' } : null,
      error: null,
      model: this.form.model,
      ...this.form.asked,
      output: report ? this.items.map((item) => itemOf(item, 'completed')) : [],
      usage: report ? usageOf(report, this.#reasoning) : null,
    };
  }
}

function usageOf({ promptTokens, cachedTokens, generatedTokens }: Report, reasoning: number): object {
  return {
    input_tokens: promptTokens,
    input_tokens_details: { cached_tokens: cachedTokens },
    output_tokens: generatedTokens,
    output_tokens_details: { reasoning_tokens: reasoning },
    total_tokens: promptTokens + generatedTokens,
  };
}

/** An answer at once. */
export async function wholeResponse(answer: Answer, form: ResponseForm): Promise<object> {
  const growing = new Growing(form);
  for (;;) {
    const { done, value } = await answer.next();
    if (done) return growing.object(value);
    growing.add(value);
  }
}

/** An answer as events of its items. */
export async function* responseEvents(answer: Answer, form: ResponseForm): AsyncGenerator<string> {
  const growing = new Growing(form);
  let sequence = 0;
  const named = (name: string, data: object) => {
    const type = `response.${name}`;
    return event({ type, sequence_number: sequence++, ...data }, type);
  };
  try {
    for (let isFirst = true; ; isFirst = false) {
      const { done, value } = await answer.next();
      if (isFirst) {
        yield named('created', { response: growing.object() });
        yield named('in_progress', { response: growing.object() });
      }
      if (done) {
        yield* ended(growing.items.length - 1);
        yield named(value.finish === 'length' ? 'incomplete' : 'completed', { response: growing.object(value) });
        return;
      }
      for (const { part, at, isNew } of growing.add(value)) {
        if (isNew) {
          yield* ended(at - 1);
          yield* begun(at);
        }
        const text = part.kind === 'call' ? part.arguments : part.text;
        const more = part.kind === 'text' ? { logprobs: [] } : {};
        if (text !== '') yield named(`${STREAMED[part.kind]}.delta`, { delta: text, ...place(at), ...more });
      }
    }
  } finally {
    void answer.return(undefined as never).catch(() => {});
  }

  function place(at: number): object {
    const { id, part } = growing.items[at]!;
    return { item_id: id, output_index: at, ...(part.kind !== 'call' && { content_index: 0 }) };
  }

  function* begun(at: number): Generator<string> {
    const { id, part } = growing.items[at]!;
    if (part.kind === 'call') {
      const item = itemOf({ id, part: { ...part, arguments: '' } }, 'in_progress');
      yield named('output_item.added', { output_index: at, item });
      return;
    }
    const item = { ...itemOf({ id, part }, 'in_progress'), content: [] };
    yield named('output_item.added', { output_index: at, item });
    yield named('content_part.added', { ...place(at), part: contentOf({ ...part, text: '' }) });
  }

  function* ended(at: number): Generator<string> {
    const item = growing.items[at];
    if (!item) return;
    const { part } = item;
    if (part.kind === 'call') {
      yield named('function_call_arguments.done', { ...place(at), name: part.name, arguments: part.arguments });
    } else {
      const more = part.kind === 'text' ? { logprobs: [] } : {};
      yield named(`${STREAMED[part.kind]}.done`, { ...place(at), text: part.text, ...more });
      yield named('content_part.done', { ...place(at), part: contentOf(part) });
    }
    yield named('output_item.done', { output_index: at, item: itemOf(item, 'completed') });
  }
}

const STREAMED = { text: 'output_text', reasoning: 'reasoning_text', call: 'function_call_arguments' };
