import type { Graph } from '../native/ggml/graph.js';
import type { Device } from './device.js';

/** In calls of at most so many rows sequences decode side by side: their graphs are kept. */
export const KEPT_ROWS = 16;

interface Kept<T> {
  graph: Graph;
  /** What building it gave. */
  made: T;
  /** The round in which it was used last. */
  round: number;
}

/** Graphs of one device by name, each built at its first use. */
export class KeptGraphs<T = unknown> {
  private readonly kept = new Map<string | number, Kept<T>>();
  /** See Device. */
  private moves = 0;
  private round = 0;
  private refused = 0;

  /** @param most graphs that are kept */
  constructor(
    private readonly device: Device,
    private readonly most = Number.POSITIVE_INFINITY,
  ) {}

  /** The graph of that name; undefined where as many others are in use as are kept. */
  of(name: string | number, capacity: number, build: (g: Graph) => T): Readonly<Kept<T>> | undefined {
    if (this.moves !== this.device.moves) this.free();
    const known = this.kept.get(name);
    if (known) {
      known.round = this.round;
      return known;
    }
    if (this.kept.size >= this.most && !this.makeRoom()) return undefined;
    let made!: T;
    const graph = this.device.graph(capacity, (g) => {
      made = build(g);
    });
    const kept = { graph, made, round: this.round };
    this.kept.set(name, kept);
    return kept;
  }

  /** Frees what was not used in as many refusals as graphs are kept: looking through all takes as long as building some. */
  private makeRoom(): boolean {
    if (this.refused++ % this.most !== 0) return false;
    this.device.wait();
    for (const [name, { graph, round }] of this.kept) {
      if (round === this.round) continue;
      graph.free();
      this.kept.delete(name);
    }
    this.round++;
    return this.kept.size < this.most;
  }

  /** Frees all; only once the device has computed them. */
  free(): void {
    for (const { graph } of this.kept.values()) graph.free();
    this.drop();
  }

  /** Frees graphs whose names begin so; only once the device has computed them. */
  forget(prefix: string): void {
    for (const [name, { graph }] of this.kept) {
      if (!`${name}`.startsWith(prefix)) continue;
      graph.free();
      this.kept.delete(name);
    }
  }

  /** All graphs of the device were freed. */
  drop(): void {
    this.kept.clear();
    this.moves = this.device.moves;
  }
}
