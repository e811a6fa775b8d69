import { StandIns } from './stand-ins.js';
import type { AddedToken } from './tokenizer.js';

/** How models mark their control tokens, whether tokenizer.json calls them special or not: `<|user|>`, `<｜User｜>`. */
const MARKED = /^<[|｜].*[|｜]>$/s;

/** Puts stand-ins into what is said, so that no one but the template writes control tokens. */
export interface Hiding {
  /** A message, but for its role. */
  message<T extends { role: string }>(message: T): T;
  /** What an assistant answered. */
  answer(text: string): string;
  /** All texts in a value, the keys of objects too. */
  said<T>(value: T): T;
}

/**
 * Control tokens are the special ones, those that are marked as such, and what else the template `source` writes, such as
 * `<tool_response>`. An assistant writes some of the latter itself, and templates look for them there (`</think>`).
 */
export function hiding(added: readonly AddedToken[], source: string): Hiding {
  const control = added.filter(({ content, special }) => special || MARKED.test(content));
  const written = added.filter(({ content }) => content.trim() !== '' && source.includes(content));
  const standIns = new StandIns(added.map(({ content }) => content));
  const hideControl = standIns.hiding(control.map(({ content }) => content));
  const hideAll = standIns.hiding([...new Set([...control, ...written])].map(({ content }) => content));
  return {
    message: (message) => ({
      ...mapTexts(message, message.role === 'assistant' ? hideControl : hideAll),
      role: message.role,
    }),
    answer: hideControl,
    said: (value) => mapTexts(value, hideAll),
  };
}

function mapTexts<T>(value: T, change: (text: string) => string): T {
  const map = (inner: unknown): unknown => {
    if (typeof inner === 'string') return change(inner);
    if (Array.isArray(inner)) return inner.map(map);
    if (typeof inner !== 'object' || inner === null) return inner;
    return Object.fromEntries(Object.entries(inner).map(([key, item]) => [change(key), map(item)]));
  };
  return map(value) as T;
}
