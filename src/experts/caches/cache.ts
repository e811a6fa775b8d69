import type { ExpertsSpec } from '../spec.js';

/** A rule by which experts of all layers share a number of slots on the accelerator. */
export interface CachePolicy {
  name: string;
  /** For people. */
  summary: string;
  /**
   * @param slots experts that fit
   * @param uses what will be used, in order: for rules that only a replay can follow
   * @param layers those with experts, in order
   */
  create(slots: number, uses: readonly Use[], layers: readonly RoutedLayer[]): ExpertCache;
}

/** A layer: its experts, and how many of them a token chooses. */
export type RoutedLayer = Pick<ExpertsSpec, 'count' | 'chosen'>;

/** An expert that a call uses: one number for an expert of a layer, those of a layer behind those of the layer before. */
export interface Use {
  expert: number;
  /** In calls: a part of one for each layer, so that a layer's uses in a call are of one time. */
  time: number;
}

/** Experts that lie in slots; pure, so that rules can be compared by replaying what was once used. */
export interface ExpertCache {
  /** An expert is used. @returns whether it was there; whether it is there now says `has` */
  use(use: Use): boolean;
  has(expert: number): boolean;
  /** Experts that were copied into a slot. */
  readonly copies: number;
}

/** Calls after which a use counts half, where uses age. */
const HALF_LIFE = 128;

/**
 * What an expert is worth that lies in a slot; the least worthy leaves.
 * @param heat logarithm (base 2) of how often it was used, where uses count half after some calls
 * @param age calls since it was used last
 */
export type Worth = (heat: number, age: number) => number;

/** What is known of an expert that was used. */
interface Known {
  last: number;
  /** As if all uses were at time 0, where what is earlier counts less: of two experts the order never changes by waiting. */
  heat: number;
}

/** A missing expert that is used takes the slot of what is worth least. */
export class WorthCache implements ExpertCache {
  private readonly known = new Map<number, Known>();
  private readonly slotOf = new Map<number, number>();
  /** By slot: the expert there, when it was used last, and its heat. */
  private readonly experts: number[] = [];
  private readonly last: Float64Array;
  private readonly heat: Float64Array;
  copies = 0;

  /**
   * @param window calls in which an expert must be used a second time before it takes a slot
   * @param halfLife calls after which a use counts half
   */
  constructor(
    private readonly slots: number,
    private readonly worth: Worth,
    private readonly window = Number.POSITIVE_INFINITY,
    private readonly halfLife = HALF_LIFE,
  ) {
    this.last = new Float64Array(slots);
    this.heat = new Float64Array(slots);
  }

  has(expert: number): boolean {
    return this.slotOf.has(expert);
  }

  use({ expert, time }: Use): boolean {
    const before = this.known.get(expert);
    const now = { last: time, heat: warmed(before?.heat, time / this.halfLife) };
    this.known.set(expert, now);
    const slot = this.slotOf.get(expert);
    if (slot !== undefined) this.note(slot, now);
    else if (this.slots > 0 && this.admits(before, time)) this.admit(expert, now);
    return slot !== undefined;
  }

  private admits(before: Known | undefined, time: number): boolean {
    if (this.window === Number.POSITIVE_INFINITY || this.experts.length < this.slots) return true;
    return before !== undefined && time - before.last <= this.window;
  }

  private admit(expert: number, now: Known): void {
    const slot = this.experts.length < this.slots ? this.experts.length : this.leastWorth(now.last);
    if (slot < this.experts.length) this.slotOf.delete(this.experts[slot]!);
    this.experts[slot] = expert;
    this.slotOf.set(expert, slot);
    this.copies++;
    this.note(slot, now);
  }

  private leastWorth(time: number): number {
    const { last, heat, worth, halfLife } = this;
    let [least, victim] = [Number.POSITIVE_INFINITY, 0];
    for (let slot = 0; slot < this.slots; slot++) {
      const of = worth(heat[slot]! - time / halfLife, time - last[slot]!);
      if (of < least) [least, victim] = [of, slot];
    }
    return victim;
  }

  private note(slot: number, { last, heat }: Known): void {
    this.last[slot] = last;
    this.heat[slot] = heat;
  }
}

/**
 * The heat of an expert with one more use.
 * @param before as if all uses were at time 0; undefined where there were none
 * @param time of the use, in half-lives
 */
function warmed(before: number | undefined, time: number): number {
  return before === undefined ? time : time + Math.log2(1 + 2 ** (before - time));
}
