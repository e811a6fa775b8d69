/** Calls after which what was gained and paid counts half. */
const HALF_LIFE = 128;
/** Calls before a trial is judged. */
const LEAST = 64;
/** Calls of rest after a trial that did not pay: twice as many each time, up to the last. */
const REST = 256;
const LONGEST_REST = 8192;

/** What a call found, and what was done behind it. */
export interface CallResult {
  /** Uses that found their expert resident, and how many would have by the placement that the trial began with. */
  hits: number;
  before: number;
  exchanges: number;
}

/** Milliseconds: what a hit saves, and what an exchange takes. */
export interface ExchangeCosts {
  saved: number;
  exchange: number;
}

/**
 * Whether it pays that residency follows use: what is resident is compared, call by call, with the placement that a trial
 * began with, by hits and by what exchanges took. A trial that does not pay is followed by a rest.
 */
export class Trial {
  /** Milliseconds gained by hits, and less what exchanges took; of late. */
  private gained = 0;
  private balance = 0;
  private calls = 0;
  private resting = 0;
  private rest = REST;

  /** Exchanges are made. */
  get active(): boolean {
    return this.resting === 0;
  }

  /** @returns whether the next trial begins behind this call, from the placement that there is: a rest is over */
  call({ hits, before, exchanges }: CallResult, { saved, exchange }: ExchangeCosts): boolean {
    if (!this.active) {
      this.resting--;
      if (!this.active) return false;
      this.gained = 0;
      this.balance = 0;
      this.calls = 0;
      return true;
    }
    const kept = 0.5 ** (1 / HALF_LIFE);
    const gain = (hits - before) * saved;
    this.gained = this.gained * kept + gain;
    this.balance = this.balance * kept + gain - exchanges * exchange;
    this.calls++;
    if (this.calls < LEAST || this.balance >= 0) {
      if (this.calls > 2 * REST) this.rest = REST;
      return false;
    }
    this.resting = this.rest;
    this.rest = Math.min(LONGEST_REST, 2 * this.rest);
    return false;
  }

  /** Hits alone, whatever exchanges took, are fewer than before; after a trial those that it had. */
  get lost(): boolean {
    return this.gained < 0;
  }
}
