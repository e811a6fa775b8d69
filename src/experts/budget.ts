/** Of the time that calls take, what exchanges may lose in the long run, and in how many calls that is gathered at most. */
const SHARE = 0.005;
const GATHERED = 1000;
/** Calls of which a call's usual time is the mean. */
const USUAL = 16;

/** Milliseconds: what a call gained by hits that the first placement would not have had, and what it took. */
export interface CallResult {
  gained: number;
  took: number;
}

/**
 * What may be spent on exchanges: what they have gained, and a small share of the time. So residency that follows use is never
 * slower by more than that share, in the long run, than the placement that it began with.
 */
export class Budget {
  /** Milliseconds: what is left, all that is gathered at first, and what a call usually takes; 0 before any was timed. */
  private left = 0;
  private usual = 0;
  /** More was lost than exchanges can have taken: by hits. Until that is earned again. */
  lost = false;

  /** Exchanges may be made. */
  get open(): boolean {
    return !this.lost && this.left > 0;
  }

  /** An exchange was made. @param ms that it takes */
  pay(ms: number): void {
    this.left -= ms;
  }

  /** A call is over. */
  call({ gained, took }: CallResult): void {
    const first = this.usual === 0;
    this.usual += (took - this.usual) / (first ? 1 : USUAL);
    const most = SHARE * GATHERED * this.usual;
    this.left = first ? most : Math.min(most, this.left + SHARE * took + gained);
    if (this.left < -most) this.lost = true;
    else if (this.left >= 0) this.lost = false;
  }
}
