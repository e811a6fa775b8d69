import type { GeneratedToken, TokenLogprob } from '../../index.js';

/** A token's log-probabilities as /v1/chat/completions gives them. */
export function chatLogprob({ spelled, bytes, logprob = 0, top = [] }: GeneratedToken, most: number): object {
  const one = ({ text = '', bytes: known, logprob: value }: Omit<TokenLogprob, 'token'>) => ({
    token: text,
    logprob: value,
    bytes: known ?? [...Buffer.from(text)],
  });
  return { ...one({ text: spelled, bytes, logprob }), top_logprobs: top.slice(0, most).map(one) };
}

/** The log-probabilities of some tokens of one text as /v1/completions gives them; `offset` is where their text begins. */
export function textLogprobs(tokens: readonly GeneratedToken[], most: number, offset: number): object {
  let at = offset;
  const offsets = tokens.map(({ text }) => {
    const begin = at;
    at += text.length;
    return begin;
  });
  return {
    tokens: tokens.map(({ spelled }) => spelled ?? ''),
    token_logprobs: tokens.map(({ logprob }) => logprob ?? null),
    top_logprobs: tokens.map(({ top = [] }) =>
      Object.fromEntries(top.slice(0, most).map(({ text = '', logprob }) => [text, logprob])),
    ),
    text_offset: offsets,
  };
}
