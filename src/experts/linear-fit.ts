/** Of what was seen, forgotten at each further observation. */
const FORGETTING = 0.02;
/** What is believed at first counts as so many observations of each factor alone, and in the end, once it is forgotten, as so many. */
const BELIEF = 6;
const LASTING_BELIEF = 0.1;
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
  private belief = BELIEF;
  /** The first observation. */
  private first?: Expected;
  private factors: Expected = { call: 1, work: 1 };

  /** @returns factors of the measured costs; 1 before anything was seen */
  observe({ call, work }: Expected, took: number): Expected {
    const { sums, factors } = this;
    const ms = Math.min(took, OUTLIER * (factors.call * call + factors.work * work));
    for (const name of Object.keys(sums) as (keyof typeof sums)[]) sums[name] *= 1 - FORGETTING;
    sums.cc += call * call;
    sums.cw += call * work;
    sums.ww += work * work;
    sums.cy += call * ms;
    sums.wy += work * ms;
    this.first ??= { call, work };
    this.belief = Math.max(LASTING_BELIEF, (1 - FORGETTING) * this.belief);
    this.factors = this.solve(this.belief * this.first.call ** 2, this.belief * this.first.work ** 2);
    return this.factors;
  }

  /** Minimises Σ (ms − a·call − b·work)² + ofCall · (a − 1)² + ofWork · (b − 1)². */
  private solve(ofCall: number, ofWork: number): Expected {
    const { sums } = this;
    const [cc, ww] = [sums.cc + ofCall, sums.ww + ofWork];
    const [cy, wy] = [sums.cy + ofCall, sums.wy + ofWork];
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
