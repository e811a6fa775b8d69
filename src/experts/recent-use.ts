import { warmed } from './caches/cache.js';
import { frequencyByAge } from './caches/lfru.js';

/** Calls after which a use counts half. */
const HALF_LIFE = 64;

/** How often and how lately each expert of each layer was used; time is counted in calls. */
export class RecentUse {
  /** Logarithm (base 2) of uses as if all were at time 0, where what is earlier counts less: waiting changes no order. */
  private readonly heat: readonly Float64Array[];
  private readonly last: readonly Float64Array[];

  /** @param counts experts of each layer */
  constructor(counts: readonly number[]) {
    const filled = (count: number) => new Float64Array(count).fill(Number.NEGATIVE_INFINITY);
    this.heat = counts.map(filled);
    this.last = counts.map(filled);
  }

  /**
   * An expert was used.
   * @param weight how much that says: less in a call that uses most experts
   * @returns calls since it was used before, ∞ where it never was
   */
  note(layer: number, expert: number, time: number, weight = 1): number {
    const [heat, last] = [this.heat[layer]!, this.last[layer]!];
    heat[expert] = warmed(heat[expert], time / HALF_LIFE, weight);
    const age = time - last[expert]!;
    last[expert] = time;
    return age;
  }

  /** When it was used last; −∞ where it never was. */
  lastOf(layer: number, expert: number): number {
    return this.last[layer]![expert]!;
  }

  /** Logarithm (base 2) of how often it was used for its age (LFRU); −∞ where it never was. */
  worth(layer: number, expert: number, time: number): number {
    const last = this.last[layer]![expert]!;
    if (last === Number.NEGATIVE_INFINITY) return last;
    return frequencyByAge(this.heat[layer]![expert]! - time / HALF_LIFE, time - last);
  }
}
