/** The one that was chosen stays unless the other is faster by so much: less is chance. */
const FASTER = 1.02;

/** For how many passes the faster of two serves until they are compared again. */
export interface Rest {
  /** Where the other one was chosen; twice as many each time the same one is, up to the longest. */
  least: number;
  longest: number;
  /** Before they are compared at all; they are at once where this is left out. */
  first?: number;
}

/** Which of two serves: they are compared, then the faster serves alone, and so on in turn. */
export class Contest {
  chosen: 0 | 1 = 0;
  comparing: boolean;
  /** Passes of this comparison, or of the rest behind it. */
  passes = 0;
  private resting: number;

  constructor(private readonly rest: Rest) {
    this.comparing = rest.first === undefined;
    this.resting = rest.first ?? rest.least;
  }

  get other(): 0 | 1 {
    return this.chosen === 0 ? 1 : 0;
  }

  /** The comparison ends. @param faster how many times as long as the other the chosen one takes */
  decide(faster: number): void {
    const { least, longest } = this.rest;
    if (faster > FASTER) {
      this.chosen = this.other;
      this.resting = least;
    } else this.resting = Math.min(longest, Math.max(least, 2 * this.resting));
    this.start(false);
  }

  /** They are compared again once the rest is over. */
  wake(): void {
    if (!this.comparing && this.passes >= this.resting) this.start(true);
  }

  private start(comparing: boolean): void {
    this.comparing = comparing;
    this.passes = 0;
  }
}
