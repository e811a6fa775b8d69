import { expSteps, partOfStep, STEP_LIMIT, STEPS, WHOLE_STEPS } from './exponential.js';

/** Passes of the radix select: where a key's next digit lies, how many values it has, and where the digits before it end. */
const PASSES = [
  { shift: 21, size: 2048, before: 32 },
  { shift: 10, size: 2048, before: 21 },
  { shift: 0, size: 1024, before: 10 },
] as const;

/**
 * The tokens that may still be chosen, in the order of their ids; its memory is reused from token to token. A first pass
 * over the vocabulary weighs bins of about equal logits, so that only the likeliest bins need be looked at closely; the
 * exact limit among those comes from a radix select over the logits' bits. Linear in the worst case, and no sorting.
 *
 * A bin is floor((best − logit) / temperature × STEPS). Tokens below 4e-18 of the likeliest are in none.
 */
export class Candidates {
  count = 0;
  readonly #ids: Int32Array;
  /** exp((logit − best) / temperature): probabilities up to a factor; the likeliest has 1. */
  readonly #weights: Float64Array;
  readonly #logits: Float32Array;
  /** The logits' bits. */
  readonly #bits: Int32Array;
  readonly #bins = new Float64Array(STEP_LIMIT);
  readonly #digits = new Float64Array(2048);

  constructor(readonly vocabulary: number) {
    this.#ids = new Int32Array(vocabulary);
    this.#weights = new Float64Array(vocabulary);
    this.#logits = new Float32Array(vocabulary);
    this.#bits = new Int32Array(this.#logits.buffer);
  }

  /** Their ids, ascending; valid until the next change. */
  get tokens(): Int32Array {
    return this.#ids.subarray(0, this.count);
  }

  /** Fills the bins with the numbers of their tokens. */
  countBins(logits: Float32Array, best: number, scale: number): void {
    const bins = this.#bins.fill(0);
    const [length, limit] = [logits.length, STEP_LIMIT]; // read once: half the loop's time
    for (let id = 0; id < length; id++) {
      const y = (best - logits[id]!) * scale;
      if (y < limit) bins[y | 0]! += 1;
    }
  }

  /** Fills the bins with the weights of their tokens; gives the sum. */
  weighBins(logits: Float32Array, best: number, scale: number): number {
    const bins = this.#bins.fill(0);
    const [length, limit] = [logits.length, STEP_LIMIT]; // read once: half the loop's time
    for (let id = 0; id < length; id++) {
      const y = (best - logits[id]!) * scale;
      if (!(y < limit)) continue; // NaN too: a ruled-out token at an infinite temperature
      const bin = y | 0;
      bins[bin]! += partOfStep(y - bin);
    }
    let total = 0;
    for (let bin = 0; bin < limit; bin++) {
      const weight = bins[bin]! * WHOLE_STEPS[bin]!;
      bins[bin] = weight;
      total += weight;
    }
    return total;
  }

  /** The bin with which all bins so far reach `goal`, and the sum of those before it. */
  binAt(goal: number): { bin: number; before: number } {
    let bin = 0;
    let before = 0;
    while (bin < STEP_LIMIT - 1 && before + this.#bins[bin]! < goal) before += this.#bins[bin++]!;
    return { bin, before };
  }

  /**
   * Takes the tokens less than `below` under the best, in the exponent, and their weights.
   * @returns whether they are few; else nothing is taken
   */
  gatherNear(logits: Float32Array, best: number, scale: number, below: number): boolean {
    const { length } = logits;
    const end = below * STEPS;
    const floor = best - end / scale;
    const most = length >> 3;
    let count = 0;
    for (let id = 0; id < length; id++) {
      const logit = logits[id]!;
      if (!(logit > floor)) continue;
      const y = (best - logit) * scale;
      if (!(y < end)) continue;
      if (count >= most) return false;
      this.#take(count++, id, logit, y);
    }
    this.count = count;
    return true;
  }

  /** Takes the tokens of the bins `first` to `last` and their weights. */
  gather(logits: Float32Array, best: number, scale: number, first: number, last: number): void {
    const { length } = logits;
    const end = last + 1;
    let count = 0;
    for (let id = 0; id < length; id++) {
      const logit = logits[id]!;
      const y = (best - logit) * scale;
      if (!(y >= first && y < end)) continue;
      this.#take(count++, id, logit, y);
    }
    this.count = count;
  }

  #take(place: number, id: number, logit: number, y: number): void {
    this.#ids[place] = id;
    this.#logits[place] = logit + 0; // −0 becomes 0: equal logits need equal bits
    this.#weights[place] = expSteps(y);
  }

  /** Keeps the k of largest logit; of equal ones those of lowest id. */
  keepCount(k: number): void {
    if (k < this.count) this.#keepLargest(k, ONE);
  }

  /** Keeps the fewest tokens of largest logit whose weights reach `goal` together; of equal ones those of lowest id. */
  keepMass(goal: number): void {
    this.#keepLargest(Math.max(goal, Number.MIN_VALUE), this.#weights); // always one
  }

  /**
   * As keepMass, with a share of the weights of all tokens as the goal, of which those that were not taken have `others` at most.
   * @returns false, and keeps all, where it matters what they have
   */
  keepShare(share: number, others: number): boolean {
    const total = this.total();
    const [least, most] = [share * total, share * (total + others)];
    const limit = this.#limit(least, this.#weights);
    const { key, above } = limit;
    if (this.#limit(most, this.#weights).key !== key) return false;
    const equal = this.#weightOf(key);
    if (Math.ceil((least - above) / equal) !== Math.ceil((most - above) / equal)) return false;
    this.#keepFrom(limit, Math.max(least, Number.MIN_VALUE), this.#weights);
    return true;
  }

  #weightOf(key: number): number {
    for (let i = 0; i < this.count; i++) if (sortable(this.#bits[i]!) === key) return this.#weights[i]!;
    return 1;
  }

  /** Keeps tokens of at least this weight. */
  keepWeight(least: number): void {
    let kept = 0;
    for (let i = 0; i < this.count; i++) if (this.#weights[i]! >= least) this.#move(i, kept++);
    this.count = kept;
  }

  /** Sum of the weights. */
  total(): number {
    return sum(this.#weights, this.count);
  }

  /** The token at `point` in [0, total) when the weights are laid end to end. */
  at(point: number): number {
    let end = 0;
    for (let i = 0; i < this.count; i++) {
      end += this.#weights[i]!;
      if (point < end) return this.#ids[i]!;
    }
    return this.#ids[this.count - 1]!; // rounding
  }

  /** `measure` holds what each candidate adds to the goal; of one element, the same for each. */
  #keepLargest(goal: number, measure: Float64Array): void {
    this.#keepFrom(this.#limit(goal, measure), goal, measure);
  }

  /** Keeps all of larger keys than the limit's, and of equal ones as many as the goal takes. */
  #keepFrom({ key: limit, above }: Limit, goal: number, measure: Float64Array): void {
    const each = measure === ONE ? 0 : 1;
    let reached = above;
    let kept = 0;
    for (let i = 0; i < this.count; i++) {
      const key = sortable(this.#bits[i]!);
      if (key < limit) continue;
      if (key === limit) {
        if (reached >= goal) continue;
        reached += measure[i * each]!;
      }
      this.#move(i, kept++);
    }
    this.count = kept;
  }

  /** The key at which all of larger keys and those of equal key reach `goal`. */
  #limit(goal: number, measure: Float64Array): Limit {
    let key = 0;
    let above = 0;
    for (const pass of PASSES) {
      const { size } = pass;
      this.#fillDigits(key, pass, measure);
      let lowest: number = size;
      for (let digit = size - 1; digit >= 0; digit--) {
        const sum = this.#digits[digit]!;
        if (sum === 0) continue;
        if (lowest < size) above += this.#digits[lowest]!;
        lowest = digit;
        if (above + sum >= goal) break; // never true where rounding misses the goal: then the lowest is taken
      }
      key = key * size + lowest;
    }
    return { key, above };
  }

  /** Sums by the next digit of those keys that begin with `prefix`. */
  #fillDigits(prefix: number, { shift, size, before }: (typeof PASSES)[number], measure: Float64Array): void {
    const digits = this.#digits.fill(0);
    const each = measure === ONE ? 0 : 1;
    for (let i = 0; i < this.count; i++) {
      const key = sortable(this.#bits[i]!);
      if (before < 32 && key >>> before !== prefix) continue;
      digits[(key >>> shift) & (size - 1)]! += measure[i * each]!;
    }
  }

  #move(from: number, to: number): void {
    this.#ids[to] = this.#ids[from]!;
    this.#logits[to] = this.#logits[from]!;
    this.#weights[to] = this.#weights[from]!;
  }
}

/** A key, and what all of larger keys have together. */
interface Limit {
  key: number;
  above: number;
}

/** The measure of `keepCount`. */
const ONE = Float64Array.of(1);

function sum(values: Float64Array, count: number): number {
  let total = 0;
  for (let i = 0; i < count; i++) total += values[i]!;
  return total;
}

/** Unsigned integer in the order of the single-precision number with these bits (Herf, Radix Tricks, 2001). */
function sortable(bits: number): number {
  return (bits ^ ((bits >> 31) | 0x8000_0000)) >>> 0;
}
