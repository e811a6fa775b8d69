import type { Report, TokenLogprob } from '../report.js';
import { BeamSearch, type FoundAnswer } from '../sampling/beam-search.js';
import { checkFinite, topLogprobs } from '../sampling/logprobs.js';
import { GENERATE_DEFAULTS } from '../sampling/sampling.js';
import type { AnswerLimits } from './answer.js';
import type { BeamQuestion } from './question.js';
import { Stopwatch } from './stopwatch.js';
import type { Step, Writing } from './writing.js';

/** A search for the likeliest answers, each beam of which is a line. */
export class BeamAnswer implements Writing {
  readonly width: number;
  lines: readonly (readonly number[])[];
  watch!: Stopwatch;
  alone = false;
  private readonly search: BeamSearch;
  /** The likeliest next tokens of each line, as far as its logits have come. */
  private continuations: TokenLogprob[][] = [];
  private come = 0;

  constructor(
    readonly question: BeamQuestion,
    { context, endTokens, start }: AnswerLimits,
  ) {
    const { beams, lengthPenalty = 1, earlyStopping = false, ignoreEnd } = question.options;
    const { maxTokens = GENERATE_DEFAULTS.maxTokens } = question.options;
    const beginning = start === undefined ? [...question.prompt] : [start];
    const most = Math.min(maxTokens, context - beginning.length + 1);
    this.width = beams;
    this.lines = [beginning];
    this.search = new BeamSearch({
      beams,
      lengthPenalty,
      earlyStopping,
      ends: ignoreEnd ? new Set() : endTokens,
      most,
    });
  }

  /** The best answers so far, the best first; as many as were asked for, once the search has ended. */
  get found(): readonly FoundAnswer[] {
    const { beams, n = 1 } = this.question.options;
    return this.search.found.slice(0, Math.min(n, beams));
  }

  begin(): void {
    this.watch = new Stopwatch(this.question.prompt.length);
  }

  next(logits: Float32Array, line: number): Step {
    checkFinite(logits);
    this.continuations[line] = topLogprobs(logits, this.search.wanted);
    if (++this.come < this.lines.length) return undefined;
    this.watch.token();
    const parents = this.search.step(this.continuations);
    this.continuations = [];
    this.come = 0;
    if (!parents) return { finish: finishOf(this.search.found[0]) };
    this.lines = parents.map((parent, i) => [...this.lines[parent]!, this.search.beams[i]!.tokens.at(-1)!]);
    return { parents };
  }
}

export function finishOf(answer?: FoundAnswer): Report['finish'] {
  return answer?.ended ? 'end' : 'length';
}
