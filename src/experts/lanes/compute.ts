import type { Device } from '../../devices/device.js';
import { KEPT_ROWS } from '../../devices/kept-graphs.js';
import type { Graph } from '../../native/ggml/graph.js';
import type { ActivationName } from '../activations.js';
import type { Assignments } from '../assignments.js';
import {
  buildForOne,
  buildForRows,
  EXPERT_GRAPH_CAPACITY,
  type ExpertIo,
  type PlacedExpert,
  type RowRange,
} from '../expert.js';
import type { Share } from '../policy.js';
import { ExpertGraphs } from './graphs.js';

/** A call's tokens, and which of them each expert has. */
export interface Rows {
  assignments: Assignments;
  tokens: number;
}

/** Computes experts one by one on a device. */
export class ExpertCompute {
  private readonly graphs: ExpertGraphs;
  /** Experts of layers of which graphs may be kept: to look for those of one takes as long as there are graphs. */
  private readonly kept = new Set<string>();

  constructor(
    readonly device: Device,
    readonly io: ExpertIo,
  ) {
    this.graphs = new ExpertGraphs(device);
  }

  /**
   * Queues output += weight · expert(input) for a call of one token.
   * @param key names the matrices, which must be the same at every call
   * @param place where its weight lies
   */
  forOne(key: string, expert: PlacedExpert, activation: ActivationName, place: number, range?: RowRange): void {
    this.graphs.runForOne(key, EXPERT_GRAPH_CAPACITY, (g) => buildForOne(g, expert, activation, this.io, place, range));
  }

  /**
   * Queues the expert for all tokens assigned to it.
   * @param key names the matrices, which must be the same at every call of few tokens
   */
  forRows(
    key: string,
    expert: PlacedExpert,
    activation: ActivationName,
    { assignments, tokens }: Rows,
    id: number,
    range?: RowRange,
  ): void {
    const [start, count] = [assignments.start(id), assignments.count(id)];
    const build = (g: Graph) => buildForRows(g, expert, activation, this.io, start, count, range);
    if (tokens <= KEPT_ROWS) this.graphs.runForRows(`${key} ${start} ${count}`, EXPERT_GRAPH_CAPACITY, build);
    else this.graphs.run(EXPERT_GRAPH_CAPACITY, build);
  }

  /** Queues a share of an expert that stays where it is. */
  run(layer: number, { expert, range }: Share, placed: PlacedExpert, activation: ActivationName, rows: Rows): void {
    const name = nameOf(layer, expert);
    const key = `${name}${range ? `${range.from}-${range.to}` : 'all'}`;
    if (rows.tokens <= KEPT_ROWS) this.kept.add(name);
    if (rows.tokens === 1) this.forOne(key, placed, activation, expert, range);
    else this.forRows(key, placed, activation, rows, expert, range);
  }

  /** Drops what was kept for an expert that lies elsewhere from now on; only once the device has computed it. */
  forget(layer: number, expert: number): void {
    const name = nameOf(layer, expert);
    if (this.kept.delete(name)) this.graphs.forget(name);
  }

  /** Frees the graphs of `forRows`; only once the device has computed them. */
  release(): void {
    this.graphs.release();
  }

  /** All graphs of the device were freed. */
  dropGraphs(): void {
    this.kept.clear();
    this.graphs.drop();
  }
}

/** What the names of an expert's graphs begin with. */
function nameOf(layer: number, expert: number): string {
  return `${layer}.${expert} `;
}
