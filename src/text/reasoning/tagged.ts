import type { Channel } from '../../report.js';
import type { Tokenizer } from '../tokenizer.js';
import type { ReasoningFormat } from './format.js';

/** Texts of control tokens. */
export interface Tags {
  open: string;
  close: string;
  /** What the line says that stands behind the opening tag. */
  header?: string;
  /** Further ones, which stand around the answer and are no part of it. */
  around?: readonly string[];
}

/**
 * Reasoning between tags, once and at the beginning, then the answer. The prompt may hold the opening tag, or both where
 * reasoning is switched off. Newlines behind a tag belong to it, as in the published templates.
 */
export function tagged(tags: Tags): ReasoningFormat {
  return {
    parser(tokenizer, prompt) {
      const open = tokenizer.id(tags.open);
      const close = tokenizer.id(tags.close);
      if (open === undefined || close === undefined) return undefined;
      const around = new Set((tags.around ?? []).map((text) => tokenizer.id(text)));

      let opened = isOpened(tokenizer, prompt, open, tags.header);
      let channel: Channel = opened ? 'reasoning' : 'answer';
      /** Before the channel's text. */
      let beginning = true;
      /** In the line behind the opening tag. */
      let heading = false;
      return {
        get next() {
          return { isAnswer: channel === 'answer', ...(!opened && beginning && { tag: open }) };
        },
        push(token) {
          const tag = channel === 'reasoning' ? close : !opened && beginning ? open : undefined;
          if (token === tag) {
            channel = tag === open ? 'reasoning' : 'answer';
            [opened, beginning] = [true, true];
            heading = tag === open && tags.header !== undefined;
            return undefined;
          }
          if (around.has(token)) return undefined;
          if (heading) {
            heading = !textOf(tokenizer, [token]).includes('\n');
            return undefined;
          }
          beginning &&= /^\n+$/.test(textOf(tokenizer, [token]));
          return beginning ? undefined : channel;
        },
      };
    },
  };
}

/** The prompt ends behind an opening tag. */
function isOpened(tokenizer: Tokenizer, prompt: readonly number[], open: number, header = ''): boolean {
  const at = prompt.lastIndexOf(open);
  const least = header === '' ? '' : `${header}\n`;
  if (at < 0) return false;
  const behind = textOf(tokenizer, prompt.slice(at + 1));
  return behind.startsWith(least) && /^\n*$/.test(behind.slice(least.length));
}

function textOf(tokenizer: Tokenizer, ids: readonly number[]): string {
  return tokenizer.decode([...ids], { skipSpecial: false });
}
