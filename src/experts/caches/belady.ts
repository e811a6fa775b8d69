import type { CachePolicy, ExpertCache, Use } from './cache.js';

/** Evicts what is not used again for longest, which needs the future: no rule misses less (Belady 1966, MIN). */
export const belady: CachePolicy = {
  name: 'belady',
  summary: 'what is not used again for longest leaves: the fewest misses that are possible',
  create: (slots, uses) => new BeladyCache(slots, uses),
};

class BeladyCache implements ExpertCache {
  /** For each use, when the same expert is used next, in uses. */
  private readonly next: Float64Array;
  /** When each expert that is there is used next. */
  private readonly there = new Map<number, number>();
  private at = 0;
  copies = 0;

  constructor(
    private readonly slots: number,
    uses: readonly Use[],
  ) {
    this.next = new Float64Array(uses.length);
    const later = new Map<number, number>();
    for (let i = uses.length - 1; i >= 0; i--) {
      this.next[i] = later.get(uses[i]!.expert) ?? Number.POSITIVE_INFINITY;
      later.set(uses[i]!.expert, i);
    }
  }

  has(expert: number): boolean {
    return this.there.has(expert);
  }

  use({ expert }: Use): boolean {
    const next = this.next[this.at++]!;
    const hit = this.there.has(expert);
    if (hit) this.there.set(expert, next);
    else this.admit(expert, next);
    return hit;
  }

  private admit(expert: number, next: number): void {
    if (this.there.size >= this.slots) {
      let [latest, victim] = [next, expert];
      for (const [each, when] of this.there) if (when > latest) [latest, victim] = [when, each];
      if (victim === expert) return; // itself is not used before any that is there
      this.there.delete(victim);
    }
    this.copies++;
    this.there.set(expert, next);
  }
}
