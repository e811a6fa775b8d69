import type { Report } from '../../index.js';

/** What one or several answers to one prompt took. */
export interface Counts {
  prompt: number;
  /** Of the prompt, what was in the KV cache already. */
  cached: number;
  generated: number;
  /** Of what was generated. */
  reasoning: number;
}

/** The sum over answers, each to the same prompt. */
export function countsOf(answers: readonly { report: Report; reasoning: number }[]): Counts {
  return {
    prompt: answers[0]?.report.promptTokens ?? 0,
    cached: answers[0]?.report.cachedTokens ?? 0,
    generated: answers.reduce((sum, { report }) => sum + report.generatedTokens, 0),
    reasoning: answers.reduce((sum, { reasoning }) => sum + reasoning, 0),
  };
}

/** In the form of OpenAI's chat and completions. */
export function openaiUsage({ prompt, cached, generated, reasoning }: Counts): object {
  return {
    prompt_tokens: prompt,
    completion_tokens: generated,
    total_tokens: prompt + generated,
    prompt_tokens_details: { cached_tokens: cached },
    completion_tokens_details: { reasoning_tokens: reasoning },
  };
}
