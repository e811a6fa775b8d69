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

/** The routes of one call, sorted by expert: which tokens each expert computes, and with what weight. */
export class Assignments {
  /** Token numbers and weights; expert e's lie at [start(e), start(e) + count(e)). */
  readonly rows: Int32Array;
  readonly weights: Float32Array;
  private readonly starts: Int32Array;
  private readonly next: Int32Array;

  /** @param capacity most tokens × chosen of a call */
  constructor(
    private readonly experts: number,
    capacity: number,
  ) {
    this.rows = new Int32Array(capacity);
    this.weights = new Float32Array(capacity);
    this.starts = new Int32Array(experts + 1);
    this.next = new Int32Array(experts);
  }

  start(expert: number): number {
    return this.starts[expert]!;
  }

  count(expert: number): number {
    return this.starts[expert + 1]! - this.starts[expert]!;
  }

  /** Weight of the first token assigned to an expert. */
  weight(expert: number): number {
    return this.weights[this.starts[expert]!]!;
  }

  /** Assignments of the call. */
  get total(): number {
    return this.starts[this.experts]!;
  }

  /** Sorts the routes by expert, tokens in order; gives the experts that have any. */
  group(
    routes: Routes,
    resident: (expert: number) => boolean,
    cached: (expert: number) => boolean = () => false,
  ): Demand[] {
    const { experts: ids, tokens, chosen } = routes;
    const total = tokens * chosen;
    this.starts.fill(0);
    for (let i = 0; i < total; i++) if (ids[i]! >= 0) this.starts[ids[i]! + 1]!++;
    for (let e = 0; e < this.experts; e++) this.starts[e + 1]! += this.starts[e]!;
    this.next.set(this.starts.subarray(0, this.experts));
    for (let i = 0; i < total; i++) {
      if (ids[i]! < 0) continue;
      const at = this.next[ids[i]!]!++;
      this.rows[at] = Math.floor(i / chosen);
      this.weights[at] = routes.weights[i]!;
    }
    const demand: Demand[] = [];
    for (let e = 0; e < this.experts; e++) {
      const count = this.count(e);
      if (count > 0) demand.push({ expert: e, tokens: count, resident: resident(e), cached: cached(e) });
    }
    return demand;
  }
}
