import { KeptGraphs } from '../devices/kept-graphs.js';
import type { Routes } from '../experts/assignments.js';
import type { LayerSpec, MoeSpec } from '../models/model.js';
import { api } from '../native/ggml/api.js';
import type { Graph } from '../native/ggml/graph.js';
import type { Tensor } from '../native/ggml/tensor.js';
import { type Batch, groupsOf, type Part, type RowRange, sameGroups, tokensOf } from './batch.js';
import { cacheRows } from './inputs.js';
import { type Called, type LayerGraphParts, LayerGraphs } from './layer-graph.js';
import { readRows } from './ring.js';

/** Nodes and views of one layer's graph, at most, and those of each further group: a convolution may be 16 sums of products, of which a layer has three. */
const LAYER_CAPACITY = 768;
/** More of them between hyper-connections, which may take hundreds of small operations each. */
const CONNECTED_CAPACITY = 1536;
const GROUP_CAPACITY = 512;
/** Graphs of decoding are kept for so many shapes: who decodes changes as answers begin and end, and comes back. */
const KEPT_SHAPES = 16;

export interface StackParts extends LayerGraphParts {
  /** Attention reads the KV cache in steps of at least so many rows. */
  cacheStep: number;
  /** Rows of the KV cache for each sequence, by the layers' windows. */
  rows: ReadonlyMap<number, number>;
  /** Writes the embeddings of a call's tokens to the hidden states. */
  embed: (batch: Batch, count: number) => void;
  /** Experts of layers before this stack's, in number of layers. */
  expertLayersBefore: number;
  /** Every token looks at every other of its call, and nothing is cached. */
  bidirectional: boolean;
  extendedBeyond?: number;
}

/** Told by what a layer's indexer chose for each token, [tokens][rows], and how many it chose. */
export type OnChosen = (layer: number, scores: readonly Float32Array[], kept: number) => void;

/** What an indexer's scores are, on the accelerator. */
type Scored = Parameters<NonNullable<Shape['onScored']>>;

/** A layer's graph, and what its indexers give. */
interface Built {
  graph: Graph;
  scored: readonly Scored[];
}

/** What the graphs of a call depend on. */
export interface Shape extends Called {
  /** One token of each sequence, as in decoding: the call's graphs by layer, with an addition of what arrived and without. */
  kept?: KeptGraphs;
}

/** Layers through which calls pass, but for their routed experts: attention, routers, dense layers. */
export class Stack {
  readonly layers: readonly LayerSpec[];
  private readonly graphs: LayerGraphs;
  private readonly connected: boolean;
  /** Number of each layer among all with experts. */
  private readonly ordinals: readonly number[];
  /** Shapes whose graphs are kept, the last used first. */
  private shapes: (Shape & { kept: KeptGraphs })[] = [];

  /** What `prepare` left for `attend`. */
  private prepared?: Built & { l: number; shape: Shape; arrived?: Tensor };
  /** What `attend` left for `route`. */
  private queued?: Built;

  constructor(private readonly parts: StackParts) {
    const { layers, expertLayersBefore } = parts;
    this.layers = layers;
    this.connected = layers.some(({ connections }) => connections);
    let ordinal = expertLayersBefore;
    this.ordinals = layers.map(({ moe }) => (moe ? ordinal++ : -1));
    this.graphs = new LayerGraphs(parts);
  }

  /**
   * Makes room on the device for the largest graphs.
   * @param chunk most tokens of a sequence in a call; `sequences`: most in a call, of which one alone has more than one token
   */
  reserve(chunk: number, context: number, sequences: number): void {
    const sourceRows = cacheRows(context);
    const shape = (counts: readonly number[], guesses: boolean): Shape => {
      let first = 0;
      const groups = counts.map((tokens, slot) => {
        const group = { first, tokens, sequences: 1, slot, reads: this.allRows(tokens), sourceRows };
        first += tokens;
        return group;
      });
      return { tokens: first, groups, extended: false, guesses };
    };
    const shapes = [shape([chunk], false), shape([1], true)];
    if (sequences > 1 && !this.parts.bidirectional) {
      shapes.push(shape([...Array.from({ length: sequences - 1 }, () => 1), chunk], false));
      const together = { first: 0, tokens: 1, sequences, slot: 0, reads: this.allRows(1), sourceRows };
      shapes.push({ tokens: sequences, groups: [together], extended: false, guesses: false });
    }
    for (const l of this.layers.keys()) {
      for (const each of shapes)
        this.parts.accelerator.reserve(this.capacityOf(each), (g) => this.graphs.build(g, l, each));
    }
  }

  /** Observes indexers; for comparisons, of calls whose graphs are not kept. */
  onChosen?: OnChosen;

  /** Whether a sequence of this many tokens is computed otherwise than short ones, from its first token on. */
  extends(length: number): boolean {
    const { extendedBeyond } = this.parts;
    return extendedBeyond !== undefined && length > extendedBeyond;
  }

  /**
   * Embeds a call's tokens, and tells the graphs their positions.
   * @param guesses with a single token, each layer says also what the next one's router would choose
   */
  begin(batch: Batch, guesses = false): Shape {
    const { embed, inputs } = this.parts;
    const count = tokensOf(batch);
    const groups = groupsOf(batch, this.readsOf, sourceRowsOf);
    embed(batch, count);
    inputs.send(batch, groups);
    const shape = { tokens: count, groups, extended: batch[0]!.extended, guesses: guesses && count === 1 };
    const kept = count === batch.length && !this.onChosen; // who observes indexers sees each call
    return kept ? this.keptShape(shape) : shape;
  }

  private readonly readsOf = (part: Part): ReadonlyMap<number, RowRange> => {
    const { bidirectional, rows, cacheStep } = this.parts;
    if (bidirectional) return this.allRows(part.tokens.length);
    return new Map([...rows].map(([window, kept]) => [window, readRows(part, window, kept, cacheStep)]));
  };

  /** What attention of a call of so many tokens reads at most. */
  private allRows(tokens: number): ReadonlyMap<number, RowRange> {
    const { bidirectional, rows } = this.parts;
    return new Map([...rows].map(([window, kept]) => [window, { from: 0, count: bidirectional ? tokens : kept }]));
  }

  /**
   * Builds a layer's graph while the experts before it are computed, if there is such a layer and its graph is not kept.
   * @param arrived will be added to the hidden states first
   */
  prepare(l: number, shape: Shape, arrived?: Tensor): void {
    if (l >= this.layers.length || shape.kept || isOfSeveral(shape)) return;
    this.forgetPrepared();
    this.prepared = { l, shape, arrived, ...this.built(l, shape, arrived) };
  }

  /**
   * Queues a layer up to its experts. What it reads may change only behind `route`.
   * @param arrived is added to the hidden states first
   */
  attend(l: number, shape: Shape, arrived?: Tensor): void {
    const { accelerator, routes } = this.parts;
    const { moe } = this.layers[l]!;
    this.queued = this.takePrepared(l, shape, arrived) ?? this.built(l, shape, arrived);
    accelerator.compute.computeAsync(this.queued.graph);
    if (moe && !accelerator.unified) routes.read(moe, shape.tokens, this.guessed(l, shape));
  }

  private built(l: number, shape: Shape, arrived?: Tensor): Built {
    const scored: Scored[] = [];
    const called = this.onChosen ? { ...shape, onScored: (...of: Scored) => void scored.push(of) } : shape;
    const build = (g: Graph) => this.build(g, l, called, arrived);
    const capacity = this.capacityOf(shape);
    const kept = shape.kept?.of(2 * l + (arrived ? 1 : 0), capacity, build);
    return { graph: kept?.graph ?? this.parts.accelerator.graph(capacity, build), scored };
  }

  private takePrepared(l: number, shape: Shape, arrived?: Tensor): Built | undefined {
    const { prepared } = this;
    if (prepared?.l !== l || prepared.shape !== shape || prepared.arrived !== arrived) {
      this.forgetPrepared(); // of a call that was cancelled
      return undefined;
    }
    this.prepared = undefined;
    return prepared;
  }

  private forgetPrepared(): void {
    this.prepared?.graph.free();
    this.prepared = undefined;
  }

  /** Waits for what `attend` queued. @returns what the layer's router says of each token; undefined in a dense layer */
  route(l: number, shape: Shape): Routes | undefined {
    const { accelerator, routes } = this.parts;
    const { moe } = this.layers[l]!;
    const { graph, scored } = this.queued!;
    if (moe) routes.wait(shape.tokens);
    else if (!shape.kept) accelerator.compute.synchronize();
    for (const [scores, kept] of scored) this.onChosen!(l, readScores(scores), kept);
    if (!shape.kept) graph.free();
    if (!moe) return undefined;
    const chosen = routes.choose(moe, this.ordinals[l]!, shape);
    routes.onRouted?.(l, moe, routes.logitsOf(moe, shape.tokens), chosen);
    const guess = this.guessed(l, shape);
    return guess ? { ...chosen, next: routes.guess(moe, guess) } : chosen;
  }

  /** The layer's successor whose router is asked about the present state. */
  private guessed(l: number, shape: Shape): MoeSpec | undefined {
    return shape.guesses ? this.graphs.following[l]?.moe : undefined;
  }

  private build(g: Graph, l: number, shape: Shape, arrived?: Tensor): void {
    const { accelerator } = this.parts;
    // Several sequences may need more than was reserved: what is queued must not lose its memory.
    if (isOfSeveral(shape) && !accelerator.unified) accelerator.compute.synchronize();
    this.graphs.build(g, l, shape, arrived);
  }

  private capacityOf({ groups }: Shape): number {
    const layer = this.connected ? CONNECTED_CAPACITY : LAYER_CAPACITY;
    return layer + (groups.length - 1) * GROUP_CAPACITY;
  }

  /** The shape that is kept and equal. */
  private keptShape(shape: Shape): Shape {
    const at = this.shapes.findIndex((kept) => same(kept, shape));
    if (at === 0) return this.shapes[0]!;
    const [known] = at > 0 ? this.shapes.splice(at, 1) : [];
    if (!known && this.shapes.length === KEPT_SHAPES) {
      this.parts.accelerator.wait(); // what is queued must not outlive its graphs
      this.shapes.pop()!.kept.free();
    }
    const kept = known ?? { ...shape, kept: new KeptGraphs(this.parts.accelerator) };
    this.shapes.unshift(kept);
    return kept;
  }

  /** See LayerGraphs. */
  finished(...args: Parameters<LayerGraphs['finished']>): Tensor {
    return this.graphs.finished(...args);
  }

  /** I32 [count]: positions of the call's tokens. */
  positionsOf(g: Graph, count: number): Tensor {
    return this.parts.inputs.positionsOf(g, count);
  }

  /** All graphs of the accelerator were freed. */
  dropGraphs(): void {
    this.prepared = undefined;
    this.shapes = [];
  }
}

function readScores(scores: Tensor): Float32Array[] {
  const [rows, tokens, sequences] = scores.ne;
  const values = new Float32Array(rows * tokens * sequences);
  api().tensorGet(scores.pointer, values, 0, values.byteLength);
  return Array.from({ length: tokens * sequences }, (_, t) => values.subarray(t * rows, (t + 1) * rows));
}

function isOfSeveral({ groups }: Shape): boolean {
  return groups.length > 1 || groups[0]!.sequences > 1;
}

function same(a: Shape, b: Shape): boolean {
  return a.extended === b.extended && a.guesses === b.guesses && sameGroups(a.groups, b.groups);
}

function sourceRowsOf({ source }: Part): number {
  return cacheRows(source);
}
