import type { Device } from '../devices/device.js';
import type { Routes } from '../experts/assignments.js';
import type { Graph } from '../ggml/graph.js';
import type { Tensor } from '../ggml/tensor.js';
import type { LayerSpec, Step } from '../models/model.js';
import { attendedRows, cacheRows, type StepInputs } from './inputs.js';
import type { RouteBuffers } from './routes.js';

/** Nodes and views of one layer's graph, at most. */
const LAYER_CAPACITY = 256;

export interface StackParts {
  accelerator: Device;
  layers: readonly LayerSpec[];
  /** Hidden states [chunk, hidden] on the accelerator; layers and experts add to them. */
  hidden: Tensor;
  inputs: StepInputs;
  /** Attention reads the KV cache in steps of at least so many rows. */
  cacheStep: number;
  routes: RouteBuffers;
  /** Writes the embeddings of tokens to the hidden states. */
  embed: (tokens: readonly number[]) => void;
  /** Experts of layers before this stack's, in number of layers. */
  expertLayersBefore: number;
  /** Every token looks at every other of its call, and nothing is cached. */
  bidirectional: boolean;
  extendedBeyond?: number;
}

/** What the graphs of a call depend on. */
export interface Shape {
  tokens: number;
  /** Rows that attention reads. */
  rows: number;
  /** Rows of an encoder's output that cross-attention reads. */
  sourceRows: number;
  /** The sequence is longer than the model's `extendedBeyond`. */
  extended: boolean;
  /** Speculative expert loading (arXiv 2312.17238, section 3.2): the next router is asked about the present state. */
  guesses: boolean;
}

/** Layers through which calls pass, but for their routed experts: attention, routers, dense layers. */
export class Stack {
  readonly layers: readonly LayerSpec[];
  /** Tokens of the encoder's output in the caches of cross-attention. */
  source = 0;
  /** The next layer with experts, for each layer. */
  private readonly following: readonly (LayerSpec | undefined)[];
  /** Number of each layer among all with experts. */
  private readonly ordinals: readonly number[];
  /** Graphs for one token by layer, with an addition of what arrived and without; and what they were built for. */
  private kept: { shape?: Shape; graphs: (Graph | undefined)[] } = { graphs: [] };
  private extended = false;

  constructor(private readonly parts: StackParts) {
    const { layers, expertLayersBefore } = parts;
    this.layers = layers;
    let ordinal = expertLayersBefore;
    this.ordinals = layers.map(({ moe }) => (moe ? ordinal++ : -1));
    this.following = layers.map((_, l) => layers.slice(l + 1).find(({ moe }) => moe));
  }

  /** Makes room on the device for the largest graphs. @param chunk most tokens of a call */
  reserve(chunk: number, context: number): void {
    const shape = (tokens: number, guesses: boolean): Shape => {
      const rows = this.parts.bidirectional ? tokens : cacheRows(context);
      return { tokens, rows, sourceRows: cacheRows(context), extended: false, guesses };
    };
    for (const l of this.layers.keys()) {
      for (const each of [shape(chunk, false), shape(1, true)]) {
        this.parts.accelerator.reserve(LAYER_CAPACITY, (g) => this.buildLayer(g, l, each));
      }
    }
  }

  /**
   * Says how many tokens the sequence will have.
   * @returns whether it is computed otherwise than before, so that what the KV cache holds is of no use
   */
  resize(length: number): boolean {
    const { extendedBeyond } = this.parts;
    const extended = extendedBeyond !== undefined && length > extendedBeyond;
    const changed = extended !== this.extended;
    this.extended = extended;
    return changed;
  }

  /**
   * Embeds `tokens`, which follow `past` ones, and tells the graphs their positions.
   * @param guesses with a single token, each layer says also what the next one's router would choose
   */
  begin(tokens: readonly number[], past: number, guesses = false): Shape {
    const count = tokens.length;
    const rows = this.parts.bidirectional ? count : attendedRows(past + count, this.parts.cacheStep);
    this.parts.embed(tokens);
    this.parts.inputs.send(past, count, rows, this.source);
    const sourceRows = cacheRows(this.source);
    return { tokens: count, rows, sourceRows, extended: this.extended, guesses: guesses && count === 1 };
  }

  /**
   * Computes a layer up to its experts, and what its router says of each token; undefined in a dense layer.
   * @param arrived is added to the hidden states first
   */
  attend(l: number, shape: Shape, arrived?: Tensor): Routes | undefined {
    const { accelerator, routes } = this.parts;
    const layer = this.layers[l]!;
    const guess = shape.guesses ? this.following[l]?.moe : undefined;
    const graph = shape.tokens === 1 ? this.keptLayer(l, shape, arrived) : this.layerGraph(l, shape, arrived);
    accelerator.compute.computeAsync(graph);
    if (layer.moe && !accelerator.unified) routes.read(layer.moe, shape.tokens, guess);
    if (layer.moe || shape.tokens > 1) accelerator.compute.synchronize();
    if (shape.tokens > 1) graph.free();
    if (!layer.moe) return undefined;
    const chosen = routes.choose(layer.moe, this.ordinals[l]!, shape.tokens);
    routes.onRouted?.(l, layer.moe, routes.logitsOf(layer.moe, shape.tokens), chosen);
    return guess ? { ...chosen, next: routes.guess(layer.moe, guess) } : chosen;
  }

  private layerGraph(l: number, shape: Shape, arrived?: Tensor): Graph {
    return this.parts.accelerator.graph(LAYER_CAPACITY, (g) => this.buildLayer(g, l, shape, arrived));
  }

  /** Graphs for one token are built once for a shape, and reused until that changes. */
  private keptLayer(l: number, shape: Shape, arrived?: Tensor): Graph {
    if (!this.kept.shape || !same(this.kept.shape, shape)) {
      this.freeKept();
      this.kept = { shape, graphs: [] };
    }
    return (this.kept.graphs[2 * l + (arrived ? 1 : 0)] ??= this.layerGraph(l, shape, arrived));
  }

  private buildLayer(g: Graph, l: number, shape: Shape, arrived?: Tensor): void {
    const { hidden, routes } = this.parts;
    const { attentionNorm, attention, cross, feedForwardNorm, dense, moe } = this.layers[l]!;
    const step = this.step(g, shape);
    const before = g.rows(hidden, 0, shape.tokens);
    const x = this.finished(g, arrived ? g.compute(g.addTo(before, g.rows(arrived, 0, shape.tokens))) : before, l);
    const own = g.compute(g.addTo(x, attention(g, attentionNorm(g, x), step)));
    const attended = cross ? g.compute(g.addTo(own, cross.attend(g, cross.norm(g, own), step))) : own;
    const normal = feedForwardNorm(g, attended);
    if (moe) {
      g.compute(g.copy(normal, g.rows(routes.input, 0, shape.tokens)));
      routes.build(g, moe, normal);
    }
    const state = dense ? g.compute(g.addTo(attended, dense(g, normal))) : attended;
    const next = shape.guesses && moe ? this.following[l] : undefined;
    if (next?.moe) routes.build(g, next.moe, next.feedForwardNorm(g, state), moe!.experts.count);
  }

  /** The hidden states that layer `l` takes, or what follows the last: with what the layer before does behind its experts. */
  finished(g: Graph, x: Tensor, l = this.layers.length): Tensor {
    const epilogue = this.layers[l - 1]?.epilogue;
    return epilogue ? g.compute(g.addTo(x, epilogue(g, x))) : x;
  }

  private step(g: Graph, { tokens, rows, sourceRows, extended }: Shape): Step {
    const { accelerator, inputs } = this.parts;
    const sourceMask = inputs.sourceMaskOf(g, sourceRows, tokens);
    return {
      tokens,
      cacheRows: rows,
      extended,
      positions: inputs.positionsOf(g, tokens),
      mask: (window) => inputs.maskOf(g, rows, tokens, window),
      biasedMask: (bias) => inputs.biasedMaskOf(g, rows, tokens, bias),
      source: sourceMask && { rows: sourceRows, mask: sourceMask },
      supports: (operation) => accelerator.compute.supports(operation),
    };
  }

  /** I32 [count]: positions of the call's tokens. */
  positionsOf(g: Graph, count: number): Tensor {
    return this.parts.inputs.positionsOf(g, count);
  }

  private freeKept(): void {
    for (const graph of this.kept.graphs) graph?.free();
  }

  free(): void {
    this.freeKept();
    this.parts.inputs.free();
  }
}

function same(a: Shape, b: Shape): boolean {
  return (Object.keys(a) as (keyof Shape)[]).every((key) => a[key] === b[key]);
}
