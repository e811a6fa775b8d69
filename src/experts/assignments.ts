import { KEPT_ROWS } from '../devices/kept-graphs.js';
import type { OrderLoops } from '../native/order-loops.js';
import { plainLoops } from './order-loops.js';
import type { Demand } from './policy.js';

/** A router's answer for one call: for each token its experts and their weights, [tokens, chosen] each. */
export interface Routes {
  /** Number of the layer among those with experts. */
  layer: number;
  tokens: number;
  chosen: number;
  /** −1 where a token is routed to no expert (capacity overflow). */
  experts: Int32Array;
  weights: Float32Array;
  /** The experts that the next layer would choose for the present state of the call's only token, where they were asked for. */
  next?: Int32Array;
}

/** Which assignments each expert has. */
export type Assigned = Pick<Assignments, 'rows' | 'weights' | 'start' | 'count'>;

/** Of each expert's assignments, one of so many parts. */
export function partOfEach(of: Assigned, part: number, parts: number): Assigned {
  const before = (expert: number, part: number) => Math.floor((of.count(expert) * part) / parts);
  return {
    rows: of.rows,
    weights: of.weights,
    start: (expert) => of.start(expert) + before(expert, part),
    count: (expert) => before(expert, part + 1) - before(expert, part),
  };
}

/** The routes of one call, sorted by expert: which tokens each expert computes, and with what weight. */
export class Assignments {
  /** Token numbers and weights; expert e's lie at [start(e), start(e) + count(e)). */
  readonly rows: Int32Array;
  readonly weights: Float32Array;
  private readonly starts: Int32Array;
  private readonly counts: Int32Array;
  /** Where the next assignment of each expert goes. */
  private readonly nexts: Int32Array;
  /** Of the arrays, what the call has. */
  end = 0;

  /** @param most tokens × chosen of a call */
  constructor(
    private readonly experts: number,
    most: number,
    private readonly loops: OrderLoops = plainLoops,
  ) {
    const capacity = Assignments.capacity(experts, most);
    this.rows = new Int32Array(capacity);
    this.weights = new Float32Array(capacity);
    this.starts = new Int32Array(experts);
    this.counts = new Int32Array(experts);
    this.nexts = new Int32Array(experts);
  }

  /** Places for a call's assignments. */
  static capacity(experts: number, most: number): number {
    return Math.max(most, experts * KEPT_ROWS);
  }

  start(expert: number): number {
    return this.starts[expert]!;
  }

  count(expert: number): number {
    return this.counts[expert]!;
  }

  /** Weight of the first token assigned to an expert. */
  weight(expert: number): number {
    return this.weights[this.starts[expert]!]!;
  }

  /**
   * Sorts the routes by expert, tokens in order; gives the experts that have any. In calls of few tokens the assignments of
   * each expert begin at a place of its own, so that graphs which read them can be kept.
   */
  group(
    routes: Routes,
    resident: (expert: number) => boolean,
    cached: (expert: number) => boolean = () => false,
  ): Demand[] {
    const { tokens, chosen } = routes;
    const { counts, nexts } = this;
    const loops = tokens > KEPT_ROWS ? this.loops : plainLoops; // a native call takes longer than those of few
    const ids = routes.experts.subarray(0, tokens * chosen);
    loops.count(ids, counts);
    this.place(tokens);
    nexts.set(this.starts);
    loops.sort(ids, routes.weights, chosen, nexts, this);
    const demand: Demand[] = [];
    for (let e = 0; e < this.experts; e++) {
      const count = this.count(e);
      if (count > 0) demand.push({ expert: e, tokens: count, resident: resident(e), cached: cached(e) });
    }
    return demand;
  }

  private place(tokens: number): void {
    const few = tokens > 1 && tokens <= KEPT_ROWS && this.counts.every((count) => count <= KEPT_ROWS);
    const apart = few ? KEPT_ROWS : 0;
    let next = 0;
    this.end = 0;
    for (let e = 0; e < this.experts; e++) {
      this.starts[e] = next;
      next += apart || this.counts[e]!;
      if (this.counts[e]! > 0) this.end = this.starts[e]! + this.counts[e]!;
    }
    if (apart > 0) this.rows.fill(0, 0, this.end); // between them lie tokens of the call, too: kernels look at all
  }
}
