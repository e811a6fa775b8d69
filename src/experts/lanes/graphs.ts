import type { Device } from '../../devices/device.js';
import type { Graph } from '../../native/ggml/graph.js';

/** Graphs of experts on one device: those of calls of one token are built once and kept, others serve a call. */
export class ExpertGraphs {
  private readonly kept = new Map<string, Graph>();
  private used: Graph[] = [];
  /** See Device. */
  private moves = 0;

  constructor(private readonly device: Device) {}

  /** Queues the graph of that name, which is built at its first use. */
  runKept(name: string, capacity: number, build: (g: Graph) => void): void {
    if (this.moves !== this.device.moves) this.freeKept();
    let graph = this.kept.get(name);
    if (!graph) {
      graph = this.device.graph(capacity, build);
      this.kept.set(name, graph);
    }
    this.device.compute.computeAsync(graph);
  }

  private freeKept(): void {
    for (const graph of this.kept.values()) graph.free();
    this.kept.clear();
    this.moves = this.device.moves;
  }

  /** Queues a graph that is needed until `release`. */
  run(capacity: number, build: (g: Graph) => void): void {
    const graph = this.device.graph(capacity, build);
    this.device.compute.computeAsync(graph);
    this.used.push(graph);
  }

  /** Frees the graphs of `run`; only once the device has computed them. */
  release(): void {
    for (const graph of this.used) graph.free();
    this.used = [];
  }

  /** Frees kept graphs whose names begin so; only once the device has computed them. */
  forget(prefix: string): void {
    for (const [name, graph] of this.kept) {
      if (!name.startsWith(prefix)) continue;
      graph.free();
      this.kept.delete(name);
    }
  }

  /** All graphs of the device were freed. */
  drop(): void {
    this.used = [];
    this.kept.clear();
  }
}
