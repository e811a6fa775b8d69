import { loadEngine } from '../../src/engine/load.js';
import type { Workbench } from '../../src/engine/workbench.js';
import type { LoadOptions } from '../../src/options.js';
import type { Report } from '../../src/report.js';

/** Golden models with recurrent layers. */
export const RECURRENT = [
  'qwen3_next',
  'qwen3_5_moe',
  'lfm2_moe',
  'granitemoehybrid',
  'nemotron_h',
  'qwen4_exp',
  'kimi_linear',
] as const;

export function loadRecurrent(name: string, options: LoadOptions): Workbench {
  return loadEngine(`test/golden/${name}`, { dtype: 'f32', ctx: 256, threads: 1, profile: false, ...options });
}

/** Pseudo-random tokens of a golden model. */
export function tokensOf(count: number, seed: number): number[] {
  return Array.from({ length: count }, (_, i) => 3 + ((i * i * 31 + i * 17 + seed * 101) % 300));
}

export interface Generated {
  tokens: number[];
  /** Log-probabilities of the likeliest tokens at each step. */
  likeliest: number[];
  report: Report;
}

/** @param most tokens behind which it is cancelled */
export function generate(session: Workbench, prompt: readonly number[], maxTokens = 5, most = Infinity): Generated {
  const [tokens, likeliest]: [number[], number[]] = [[], []];
  const options = { temperature: 0, maxTokens, logprobs: 1, ignoreEnd: true };
  const onToken = (token: number, top?: { logprob: number }[]) => {
    likeliest.push(top![0]!.logprob);
    return tokens.push(token) < 0;
  };
  const report = session.generate(prompt, options, onToken, () => tokens.length >= most);
  return { tokens, likeliest, report };
}
