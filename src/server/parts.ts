import type { GeneratedToken } from '../index.js';
import { callId } from './ids.js';

/** More of one part of an answer; a part ends where another begins. */
export type Part =
  | { kind: 'reasoning'; text: string }
  | { kind: 'text'; text: string }
  | { kind: 'call'; index: number; begins?: { id: string; name: string }; arguments: string };

/** What a token adds. @param most calls that are wanted */
export function partsOf({ text, channel, calls = [] }: GeneratedToken, most: number): Part[] {
  const called = calls
    .filter(({ index }) => index < most)
    .map(({ index, name, id = callId(), arguments: more = '' }): Part & { kind: 'call' } => {
      return { kind: 'call', index, ...(name !== undefined && { begins: { id, name } }), arguments: more };
    });
  // What continues the call of earlier tokens precedes the text that ended it.
  const first = called.findIndex(({ begins }) => begins !== undefined);
  const continued = called.splice(0, first < 0 ? called.length : first);
  const said: Part[] = text === '' ? [] : [{ kind: channel === 'reasoning' ? 'reasoning' : 'text', text }];
  return [...continued, ...said, ...called];
}

/** A part that is whole. */
export type WholePart =
  | { kind: 'reasoning'; text: string }
  | { kind: 'text'; text: string }
  | { kind: 'call'; id: string; name: string; arguments: string };

/** Puts the parts of an answer together. */
export class Parts {
  readonly all: WholePart[] = [];

  constructor(private readonly most: number) {}

  /** @returns what the token added, and the parts that it belongs to */
  add(token: GeneratedToken): { part: Part; at: number; isNew: boolean }[] {
    return partsOf(token, this.most).map((part) => {
      const last = this.all.at(-1);
      if (part.kind === 'call') {
        if (part.begins) this.all.push({ kind: 'call', ...part.begins, arguments: part.arguments });
        else if (last?.kind === 'call') last.arguments += part.arguments;
        return { part, at: this.all.length - 1, isNew: part.begins !== undefined };
      }
      const isNew = last === undefined || last.kind !== part.kind;
      if (isNew) this.all.push({ ...part });
      else (last as { text: string }).text += part.text;
      return { part, at: this.all.length - 1, isNew };
    });
  }
}
