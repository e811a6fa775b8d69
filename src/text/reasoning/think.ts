import type { Channel } from '../../engine/options.js';
import type { ReasoningFormat } from './format.js';

/**
 * `<think>` reasoning `</think>` answer, once and at the beginning (DeepSeek-R1, arXiv 2501.12948; Qwen3, arXiv
 * 2505.09388). The prompt may hold the opening tag, or both where reasoning is switched off. Newlines behind a tag
 * belong to it, as in the published templates.
 */
export const think: ReasoningFormat = {
  parser(tokenizer, prompt) {
    const open = tokenizer.id('<think>');
    const close = tokenizer.id('</think>');
    if (open === undefined || close === undefined) return undefined;
    const isNewline = (token: number) => /^\n+$/.test(tokenizer.decode([token], { skipSpecial: false }));

    let opened = prompt.findLast((token) => !isNewline(token)) === open;
    let channel: Channel = opened ? 'reasoning' : 'answer';
    /** Before the channel's text. */
    let beginning = true;
    return {
      push(token) {
        const tag = channel === 'reasoning' ? close : !opened && beginning ? open : undefined;
        if (token === tag) {
          channel = tag === open ? 'reasoning' : 'answer';
          [opened, beginning] = [true, true];
          return undefined;
        }
        beginning &&= isNewline(token);
        return beginning ? undefined : channel;
      },
    };
  },
};
