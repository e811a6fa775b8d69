import type { Device } from '../../devices/device.js';
import { KeptGraphs } from '../../devices/kept-graphs.js';
import type { Graph } from '../../native/ggml/graph.js';

/** Graphs of calls of several tokens that are kept: each takes about 10 kB. */
const MOST_FOR_ROWS = 4096;

/** Graphs of experts on one device: those of calls of one token and of few are built once and kept, others serve a call. */
export class ExpertGraphs {
  private readonly forOne: KeptGraphs;
  private readonly forRows: KeptGraphs;
  private used: Graph[] = [];

  constructor(private readonly device: Device) {
    this.forOne = new KeptGraphs(device);
    this.forRows = new KeptGraphs(device, MOST_FOR_ROWS);
  }

  /** Queues the graph of that name for a call of one token. */
  runForOne(name: string, capacity: number, build: (g: Graph) => void): void {
    this.device.compute.computeAsync(this.forOne.of(name, capacity, build)!.graph);
  }

  /** Queues the graph of that name for a call of few tokens. */
  runForRows(name: string, capacity: number, build: (g: Graph) => void): void {
    const kept = this.forRows.of(name, capacity, build);
    if (kept) this.device.compute.computeAsync(kept.graph);
    else this.run(capacity, build);
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
    this.forOne.forget(prefix);
    this.forRows.forget(prefix);
  }

  /** All graphs of the device were freed. */
  drop(): void {
    this.used = [];
    this.forOne.drop();
    this.forRows.drop();
  }
}
