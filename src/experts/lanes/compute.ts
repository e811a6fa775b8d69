import type { Device } from '../../devices/device.js';
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

/** Computes experts on one device; graphs for calls of one token are built once and kept. */
export class ExpertCompute {
  private readonly kept = new Map<string, Graph>();
  private used: Graph[] = [];
  /** See Device. */
  private moves = 0;

  constructor(
    readonly device: Device,
    readonly io: ExpertIo,
  ) {}

  /**
   * Queues output += weight · expert(input) for a call of one token.
   * @param key names the matrices, which must be the same at every call
   * @param place where its weight lies
   */
  forOne(key: string, expert: PlacedExpert, activation: ActivationName, place: number, range?: RowRange): void {
    if (this.moves !== this.device.moves) this.freeKept();
    let graph = this.kept.get(key);
    if (!graph) {
      graph = this.device.graph(EXPERT_GRAPH_CAPACITY, (g) =>
        buildForOne(g, expert, activation, this.io, place, range),
      );
      this.kept.set(key, graph);
    }
    this.device.compute.computeAsync(graph);
  }

  private freeKept(): void {
    for (const graph of this.kept.values()) graph.free();
    this.kept.clear();
    this.moves = this.device.moves;
  }

  /** Queues the expert for all tokens assigned to it. */
  forRows(
    expert: PlacedExpert,
    activation: ActivationName,
    assignments: Assignments,
    id: number,
    range?: RowRange,
  ): void {
    const [start, count] = [assignments.start(id), assignments.count(id)];
    const graph = this.device.graph(EXPERT_GRAPH_CAPACITY, (g) =>
      buildForRows(g, expert, activation, this.io, start, count, range),
    );
    this.device.compute.computeAsync(graph);
    this.used.push(graph);
  }

  /** Queues a share of an expert that stays where it is. */
  run(
    layer: number,
    { expert, range }: Share,
    placed: PlacedExpert,
    activation: ActivationName,
    assignments: Assignments,
    single: boolean,
  ): void {
    if (single) this.forOne(`${layer}.${expert} ${range?.to ?? 'all'}`, placed, activation, expert, range);
    else this.forRows(placed, activation, assignments, expert, range);
  }

  /** Drops what was kept for an expert that lies elsewhere from now on; only once the device has computed it. */
  forget(layer: number, expert: number): void {
    for (const [key, graph] of this.kept) {
      if (!key.startsWith(`${layer}.${expert} `)) continue;
      graph.free();
      this.kept.delete(key);
    }
  }

  /** Frees the graphs of `forRows`; only once the device has computed them. */
  release(): void {
    for (const graph of this.used) graph.free();
    this.used = [];
  }

  /** All graphs of the device were freed. */
  dropGraphs(): void {
    this.used = [];
    this.kept.clear();
  }
}
