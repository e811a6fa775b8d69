import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import { loadEngine } from '../../src/engine/load.js';
import type { BeamQuestion } from '../../src/engine/question.js';
import type { Workbench } from '../../src/engine/workbench.js';
import type { LoadOptions } from '../../src/options.js';
import type { Report } from '../../src/report.js';
import type { FoundAnswer } from '../../src/sampling/beam-search.js';

interface GoldenBeams {
  input_ids: number[];
  beams: number[][];
  beam_scores: number[];
  beam_settings: { num_beams: number; max_new_tokens: number; length_penalty: number; early_stopping: boolean };
}

const never = () => false;

/** What a search finds, beside whatever else was begun. */
export function search(
  session: Workbench,
  prompt: readonly number[],
  options: BeamQuestion['options'],
  cancelled = never,
): { found: readonly FoundAnswer[]; report: Report } {
  let ended: { found: readonly FoundAnswer[]; report: Report } | undefined;
  session.search({ prompt, options, cancelled }, (outcome, found) => {
    if ('error' in outcome) throw outcome.error;
    ended = { found, report: outcome.report };
  });
  while (!ended) session.advance();
  return ended;
}

/** Beams of mini-mixtral, tokens and scores, are those of Hugging Face's beam search. */
export function goldenBeams(options: LoadOptions, most = 3): void {
  const { cases } = JSON.parse(readFileSync('test/golden/mini-mixtral/expected.json', 'utf8'));
  const shared = { dtype: 'f32', ctx: 64, sequences: 4, threads: 1, expertsResident: 0.5, profile: false } as const;
  const session = loadEngine('models/mini-mixtral', { ...shared, ...options });
  try {
    for (const { input_ids, beams, beam_scores, beam_settings } of (cases as GoldenBeams[]).slice(0, most)) {
      const { num_beams, max_new_tokens, length_penalty, early_stopping } = beam_settings;
      const { found, report } = search(session, input_ids, {
        beams: num_beams,
        n: num_beams,
        maxTokens: max_new_tokens,
        lengthPenalty: length_penalty,
        earlyStopping: early_stopping,
      });
      expect(found.map(({ tokens }) => tokens)).toEqual(beams);
      for (const [i, { score }] of found.entries()) expect(Math.abs(score - beam_scores[i]!)).toBeLessThan(1e-4);
      expect(report.generatedTokens).toBe(max_new_tokens);
    }
  } finally {
    session.close();
  }
}
