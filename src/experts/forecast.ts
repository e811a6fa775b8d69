/** Calls after which a use counts half, by each of the counts that are kept. */
const HALF_LIVES = [4, 16, 64, 256, 1024];
/** How much a use moves what is believed of the counts; more in a layer's first calls, as if some had passed before. */
const RATE = 0.01;
const PASSED = 20;
/** Uses that are taken to follow any of the counts: what foretold nothing for long is believed again within a few calls. */
const DOUBT = 0.001;
/** Ages that are told apart, in halves of octaves: from some 1,700 calls on all are one. */
const AGES = 22;
/** Uses that are thought to have been seen at each age as often as expected. */
const PRIOR = 5;
/** Calls after which what was seen of ages counts half, and of how many one is looked at. */
const AGES_HALF_LIFE = 4096;
const LOOK_EVERY = 4;

const KINDS = HALF_LIVES.length;
const GROWTH = HALF_LIVES.map((calls) => 2 ** (1 / calls));
/** Where a use's weight is reduced to 1. */
const HEAVIEST = 1e100;
const MEMORY = HALF_LIVES.map((calls) => calls / Math.LN2);
const AGES_KEPT = 0.5 ** (LOOK_EVERY / AGES_HALF_LIFE);
/** Before any call: so long ago that ages stay integers. */
const NEVER = -(2 ** 30);
const AGE_OF = Uint8Array.from({ length: 2 ** (AGES / 2) }, (_, calls) =>
  Math.round(2 * Math.log2(Math.max(1, calls))),
);

/** What is known of a layer. */
interface Layer {
  /** Uses of each expert, [experts, half-lives], and of all together; `weights` is that of one in the call at hand. */
  uses: Float64Array;
  totals: Float64Array;
  weights: Float64Array;
  /** Probability that a use follows each of the counts; the last is that of an even choice. */
  belief: Float64Array;
  /** What a use of each count adds to an expert's share of the next call's uses, and what each expert has without any. */
  parts: Float64Array;
  /** By expert, the call that used it last. */
  last: Int32Array;
  calls: number;
}

/**
 * Foretells which experts of each layer calls will use. A use is thought to be drawn from a mixture of what was used of late,
 * for several lengths of late, and an even choice; which of them foretell a layer best is learnt at each use, by one step of
 * expectation-maximisation. How often what was not used for so long is used after all, beside what that says, is learnt for all
 * layers. So where use wanders what is recent counts, where it stays frequency does, and of even use nothing is foretold.
 */
export class Forecast {
  private readonly layers: readonly Layer[];
  /** Uses by age, as they were seen and as they were foretold. */
  private readonly seen = new Float64Array(AGES + 1).fill(PRIOR);
  private readonly foretold = new Float64Array(AGES + 1).fill(PRIOR);

  /** @param counts experts of each layer */
  constructor(counts: readonly number[]) {
    this.layers = counts.map((count) => ({
      uses: new Float64Array(count * KINDS).fill(1 / count),
      totals: new Float64Array(KINDS).fill(1),
      weights: new Float64Array(KINDS).fill(1),
      belief: new Float64Array(KINDS + 1).fill(1 / (KINDS + 1)),
      parts: new Float64Array(KINDS + 1),
      last: new Int32Array(count).fill(NEVER),
      calls: 0,
    }));
    for (const layer of this.layers) pass(layer);
  }

  /** What was counted before, in so many tokens: as if they had just been decoded. */
  recall(layer: number, counts: ArrayLike<number>, tokens: number): void {
    const of = this.layers[layer]!;
    const lengths = MEMORY.map((calls) => Math.min(calls, tokens) / Math.max(1, tokens));
    for (let e = 0; e < counts.length; e++) {
      for (let k = 0; k < KINDS; k++) add(of, e, k, counts[e]! * lengths[k]!);
    }
    pass(of);
  }

  /** A call that decodes used these experts of a layer, each named once. */
  used(layer: number, experts: readonly number[]): void {
    const of = this.layers[layer]!;
    if (experts.length === 0) return;
    of.calls++;
    if (of.calls % LOOK_EVERY === 0) this.learnAges(of, experts);
    const rate = Math.max(RATE, 1 / (PASSED + of.calls));
    for (const expert of experts) learn(of, expert, rate);
    for (const expert of experts) {
      for (let k = 0; k < KINDS; k++) add(of, expert, k, 1);
      of.last[expert] = of.calls;
    }
    pass(of);
  }

  /** A prompt used these. @param shares of its tokens that each was used by */
  prompted(layer: number, experts: readonly number[], shares: readonly number[]): void {
    const of = this.layers[layer]!;
    experts.forEach((expert, i) => {
      for (let k = 0; k < KINDS; k++) add(of, expert, k, shares[i]!);
    });
    pass(of);
  }

  /** Calls that decode, of a layer, since one used an expert. */
  age(layer: number, expert: number): number {
    const { last, calls } = this.layers[layer]!;
    return calls - last[expert]!;
  }

  /** How likely the next call uses an expert: comparable within a layer. */
  worth(layer: number, expert: number): number {
    const of = this.layers[layer]!;
    const age = ageOf(of.calls + 1 - of.last[expert]!);
    return (share(of, expert) * this.seen[age]!) / this.foretold[age]!;
  }

  /** Uses of an expert that are remembered beyond another's, by the counts that remember more, as far as each foretells. */
  excess(layer: number, expert: number, other: number): number {
    const { uses, weights, belief } = this.layers[layer]!;
    let sum = 0;
    for (let k = 0; k < KINDS; k++) {
      const more = uses[expert * KINDS + k]! - uses[other * KINDS + k]!;
      if (more > 0) sum += (belief[k]! * more) / weights[k]!;
    }
    return sum;
  }

  private learnAges(of: Layer, experts: readonly number[]): void {
    const { seen, foretold } = this;
    const { last, calls } = of;
    for (let age = 0; age <= AGES; age++) {
      seen[age] = PRIOR + (seen[age]! - PRIOR) * AGES_KEPT;
      foretold[age] = PRIOR + (foretold[age]! - PRIOR) * AGES_KEPT;
    }
    for (let e = 0; e < last.length; e++) foretold[ageOf(calls - last[e]!)]! += share(of, e) * experts.length;
    for (const expert of experts) seen[ageOf(calls - last[expert]!)]!++;
  }
}

function ageOf(calls: number): number {
  return calls < AGE_OF.length ? AGE_OF[calls]! : AGES;
}

/** Moves the belief to the counts that foretold a use. */
function learn({ uses, totals, belief, last }: Layer, expert: number, rate: number): void {
  const at = (k: number) => (k < KINDS ? uses[expert * KINDS + k]! / totals[k]! : 1 / last.length);
  let all = 0;
  for (let k = 0; k <= KINDS; k++) all += belief[k]! * at(k);
  for (let k = 0; k <= KINDS; k++) {
    const followed = (1 - DOUBT) * ((belief[k]! * at(k)) / all) + DOUBT / (KINDS + 1);
    belief[k]! += rate * (followed - belief[k]!);
  }
}

function add({ uses, totals, weights }: Layer, expert: number, k: number, count: number): void {
  uses[expert * KINDS + k]! += count * weights[k]!;
  totals[k]! += count * weights[k]!;
}

/** A call has passed: what comes weighs more than what was. */
function pass({ uses, totals, weights, belief, parts, last }: Layer): void {
  for (let k = 0; k < KINDS; k++) {
    weights[k]! *= GROWTH[k]!;
    if (weights[k]! > HEAVIEST) {
      for (let i = k; i < uses.length; i += KINDS) uses[i]! /= weights[k]!;
      totals[k]! /= weights[k]!;
      weights[k] = 1;
    }
    parts[k] = belief[k]! / totals[k]!;
  }
  parts[KINDS] = belief[KINDS]! / last.length;
}

/** The share of the next call's uses that is foretold for an expert. */
function share({ uses, parts }: Layer, expert: number): number {
  let sum = parts[KINDS]!;
  for (let k = 0; k < KINDS; k++) sum += parts[k]! * uses[expert * KINDS + k]!;
  return sum;
}
