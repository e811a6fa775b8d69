/** Of what was seen, forgotten at each further observation. */
const FORGETTING = 0.02;
/** What is believed at first counts as so many observations of each factor alone. */
const BELIEF = 1;
const LEAST = 0.05;
const MOST = 8;
/** One call that met something else counts as so many times what was expected at most. */
const OUTLIER = 2;

/** What an observation should have taken by two measured costs: milliseconds of the call, and of what was in it. */
export interface Expected {
  call: number;
  work: number;
}

/**
 * By how much two measured costs are off, a call's own and that of its work: the least squares of what calls of different sizes
 * took, the latest counting most.
 */
export class LinearFit {
  private readonly sums = { cc: 0, cw: 0, ww: 0, cy: 0, wy: 0 };
  private seen = 0;
  private belief = { call: 0, work: 0 };
  /** Factors of the measured costs; 1 before anything was seen. */
  factors: Expected = { call: 1, work: 1 };

  observe({ call, work }: Expected, took: number): void {
    const { sums, factors } = this;
    const ms = Math.min(took, OUTLIER * (factors.call * call + factors.work * work));
    for (const name of Object.keys(sums) as (keyof typeof sums)[]) sums[name] *= 1 - FORGETTING;
    sums.cc += call * call;
    sums.cw += call * work;
    sums.ww += work * work;
    sums.cy += call * ms;
    sums.wy += work * ms;
    if (this.seen++ === 0) this.belief = { call: BELIEF * call * call, work: BELIEF * work * work };
    this.factors = this.solve();
  }

  private solve(): Expected {
    const { sums, belief } = this;
    // Minimises Σ (ms − a·call − b·work)² + belief · (a − 1)² + belief · (b − 1)².
    const [cc, ww] = [sums.cc + belief.call, sums.ww + belief.work];
    const [cy, wy] = [sums.cy + belief.call, sums.wy + belief.work];
    const determinant = cc * ww - sums.cw * sums.cw;
    if (determinant <= 0) return { call: 1, work: ww > 0 ? within(wy / ww) : 1 };
    return {
      call: within((cy * ww - wy * sums.cw) / determinant),
      work: within((wy * cc - cy * sums.cw) / determinant),
    };
  }
}

function within(factor: number): number {
  return Math.min(MOST, Math.max(LEAST, factor));
}
