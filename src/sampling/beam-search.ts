import type { TokenLogprob } from '../report.js';

/** How beams are searched. */
export interface BeamSettings {
  beams: number;
  /** A score is the sum of log-probabilities over the length to this power: above 0 long answers gain. */
  lengthPenalty: number;
  /**
   * When a search ends that has as many answers as beams: `true` at once; `false` when the likeliest beam, as long as it is,
   * would score less than all of them; `'never'` when none can score more, whatever its length.
   */
  earlyStopping: boolean | 'never';
  /** Tokens that end an answer. */
  ends: ReadonlySet<number>;
  /** Most tokens of an answer. */
  most: number;
}

/** An answer that goes on. */
export interface Beam {
  /** Of the answer alone. */
  tokens: readonly number[];
  /** Sum of their log-probabilities. */
  logprob: number;
}

/** An answer that has ended; a token that ended it counts in both figures and is the last of its tokens. */
export interface FoundAnswer extends Beam {
  ended: boolean;
  score: number;
}

/**
 * Beam search over one prompt, by the rules of Hugging Face transformers 5 (`_beam_search` in generation/utils.py): of all
 * continuations of all beams the likeliest go on; those of the likeliest that end are answers, of which the best are kept.
 * Of equal ones the first beam's and the lowest token go first.
 */
export class BeamSearch {
  /** Those that go on, the likeliest first; at most as many as asked for. */
  beams: readonly Beam[] = [{ tokens: [], logprob: 0 }];
  /** Those that have ended, the best first; at most as many as beams. */
  found: readonly FoundAnswer[] = [];
  private length = 0;

  constructor(private readonly settings: BeamSettings) {}

  /** Of each beam so many of its likeliest next tokens are needed. */
  get wanted(): number {
    return this.settings.beams + this.settings.ends.size;
  }

  /**
   * Goes on by a token.
   * @param continuations of each beam the `wanted` likeliest next tokens, or as many as there are, likeliest first
   * @returns for each beam that goes on the number of the one that it continues; undefined once the search has ended
   */
  step(continuations: readonly (readonly TokenLogprob[])[]): number[] | undefined {
    const { beams: count, ends, most } = this.settings;
    const last = ++this.length === most;
    const all = this.continued(continuations);
    for (const each of all.slice(0, count)) if (last || ends.has(each.token)) this.keep(each);
    if (last) return undefined;
    const next = all.filter(({ token }) => !ends.has(token)).slice(0, count);
    const parents = next.map(({ parent }) => parent);
    this.beams = next.map((each) => this.beamOf(each));
    return next.length > 0 && this.canImprove() ? parents : undefined;
  }

  private continued(continuations: readonly (readonly TokenLogprob[])[]): Continuation[] {
    return continuations
      .flatMap((tokens, parent) => {
        const before = this.beams[parent]!.logprob;
        return tokens.map(({ token, logprob }) => ({ parent, token, logprob: before + logprob }));
      })
      .sort((a, b) => b.logprob - a.logprob || a.parent - b.parent || a.token - b.token);
  }

  private beamOf({ parent, token, logprob }: Continuation): Beam {
    return { tokens: [...this.beams[parent]!.tokens, token], logprob };
  }

  private keep(each: Continuation): void {
    const { beams, ends } = this.settings;
    const answer = {
      ...this.beamOf(each),
      ended: ends.has(each.token),
      score: this.scoreOf(each.logprob, this.length),
    };
    this.found = [...this.found, answer].sort((a, b) => b.score - a.score).slice(0, beams);
  }

  private canImprove(): boolean {
    const { beams, earlyStopping, lengthPenalty, most } = this.settings;
    if (this.found.length < beams) return true;
    if (earlyStopping === true) return false;
    const length = earlyStopping === 'never' && lengthPenalty > 0 ? most : this.length;
    return this.scoreOf(this.beams[0]!.logprob, length) > this.found.at(-1)!.score;
  }

  private scoreOf(logprob: number, length: number): number {
    return logprob / length ** this.settings.lengthPenalty;
  }
}

interface Continuation {
  parent: number;
  token: number;
  /** Of the whole answer. */
  logprob: number;
}
