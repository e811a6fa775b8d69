import { type Device, HostTensors, integers } from '../devices/device.js';
import type { MappedTensors } from '../devices/mapped.js';
import type { Routes } from '../experts/assignments.js';
import { api, type Pointer } from '../ggml/api.js';
import type { Graph } from '../ggml/graph.js';
import { type Tensor, TensorContext, Type } from '../ggml/tensor.js';
import type { LayerSpec, ModelSpec, Step } from '../models/model.js';
import type { StoredTensor } from '../weights/checkpoint.js';
import { cacheRows, StepInputs } from './inputs.js';
import { type OnRouted, RouteBuffers } from './routes.js';

/** Nodes and views of one layer's graph, at most. */
const LAYER_CAPACITY = 256;
/** Rows of logits computed at once when a whole text is scored. */
export const LOGIT_ROWS = 32;

export interface NetworkParts {
  cpu: Device;
  accelerator: Device;
  spec: ModelSpec;
  embedding: StoredTensor;
  mapped: MappedTensors;
  /** Most tokens of a call, and of the context. */
  chunk: number;
  context: number;
  windows: readonly number[];
  extendedBeyond?: number;
  hostType: Pointer;
}

/** Everything of a model but its routed experts: embedding, attention, routers, dense layers, output head. */
export class Network {
  readonly layers: readonly LayerSpec[];
  /** Hidden states [chunk, hidden] on the accelerator; layers and experts add to them. */
  readonly hidden: Tensor;
  /** Observes the routers; for comparisons. */
  onRouted?: OnRouted;

  /** The next layer with experts, for each layer. */
  private readonly following: readonly (LayerSpec | undefined)[];
  /** Number of each layer among those with experts. */
  private readonly ordinals: readonly number[];
  private readonly inputs: StepInputs;
  private readonly routes: RouteBuffers;
  private readonly memory = new HostTensors(8);
  private readonly context = new TensorContext(8);
  private readonly table: Tensor;
  private readonly ids: Tensor;
  private readonly embedded: Tensor;
  private readonly wanted: Tensor;
  private readonly hostWanted: Tensor;
  /** By layer, with an addition of what arrived and without. */
  private readonly kept: Pick<Shape, 'rows' | 'extended' | 'guesses'> & { graphs: (Graph | undefined)[] };
  private extended = false;

  constructor(private readonly parts: NetworkParts) {
    const { accelerator, spec, chunk, embedding, mapped, hostType } = parts;
    const unified = accelerator.unified;
    this.layers = spec.layers;
    this.kept = { rows: 0, extended: false, guesses: false, graphs: [] };
    let ordinal = 0;
    this.ordinals = spec.layers.map(({ moe }) => (moe ? ordinal++ : -1));
    this.following = spec.layers.map((_, l) => spec.layers.slice(l + 1).find(({ moe }) => moe));
    this.table = mapped.matrix(embedding, spec.vocabulary, spec.hidden);
    this.ids = this.memory.tensor(Type.I32, chunk);
    this.hostWanted = this.memory.tensor(Type.I32, LOGIT_ROWS);
    this.embedded = this.memory.tensor(Type.F32, spec.hidden, chunk);
    this.memory.allocate(hostType);
    this.hidden = unified ? this.embedded : this.context.tensor(Type.F32, spec.hidden, chunk);
    this.wanted = unified ? this.hostWanted : this.context.tensor(Type.I32, LOGIT_ROWS);
    if (!unified) accelerator.allocate(this.context, 'hidden states');
    this.inputs = new StepInputs(accelerator, chunk, parts.context, [0, ...parts.windows], hostType);
    this.routes = new RouteBuffers(accelerator, spec.layers, spec.hidden, chunk, hostType);
  }

  /** What the present layer's experts read: on the accelerator, and in the host's memory. */
  get expertInput(): Pick<RouteBuffers, 'input' | 'hostInput'> {
    return this.routes;
  }

  /** Makes room on the devices for the largest graphs of this network. */
  reserve(): void {
    const { accelerator, cpu, chunk, context } = this.parts;
    const longest = { tokens: chunk, rows: cacheRows(context), extended: false, guesses: false };
    const guessing = { ...longest, tokens: 1, guesses: true };
    for (const l of this.layers.keys()) {
      for (const shape of [longest, guessing]) accelerator.reserve(LAYER_CAPACITY, (g) => this.buildLayer(g, l, shape));
    }
    accelerator.reserve(32, (g) => this.buildHead(g, LOGIT_ROWS));
    cpu.reserve(8, (g) => this.buildEmbedding(g, chunk));
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
   * Embeds `tokens`, which follow `past` ones in the KV cache, and tells the graphs their positions.
   * @param guesses with a single token, each layer says also what the next one's router would choose
   */
  begin(tokens: readonly number[], past: number, guesses = false): Shape {
    const { accelerator, cpu, spec } = this.parts;
    integers(this.ids).set(tokens);
    cpu.once(8, (g) => this.buildEmbedding(g, tokens.length));
    if (!accelerator.unified) {
      accelerator.compute.write(this.hidden, this.embedded.address, 0, tokens.length * spec.hidden * 4);
    }
    this.inputs.send(past, tokens.length);
    const rows = cacheRows(past + tokens.length);
    return { tokens: tokens.length, rows, extended: this.extended, guesses: guesses && tokens.length === 1 };
  }

  private buildEmbedding(g: Graph, count: number): void {
    const { scale = 1 } = this.parts.spec.embedding;
    const rows = g.getRows(this.table, g.slice(this.ids, 0, count));
    g.compute(g.copy(scale === 1 ? rows : g.scale(rows, scale), g.rows(this.embedded, 0, count)));
  }

  /**
   * Computes a layer up to its experts, and what its router says of each token; undefined in a dense layer.
   * @param arrived is added to the hidden states first
   */
  attend(l: number, shape: Shape, arrived?: Tensor): Routes | undefined {
    const { accelerator } = this.parts;
    const layer = this.layers[l]!;
    const guess = shape.guesses ? this.following[l]?.moe : undefined;
    const graph = shape.tokens === 1 ? this.keptLayer(l, shape, arrived) : this.layerGraph(l, shape, arrived);
    accelerator.compute.computeAsync(graph);
    if (layer.moe && !accelerator.unified) this.routes.read(layer.moe, shape.tokens, guess);
    if (layer.moe || shape.tokens > 1) accelerator.compute.synchronize();
    if (shape.tokens > 1) graph.free();
    if (!layer.moe) return undefined;
    const routes = this.routes.choose(layer.moe, this.ordinals[l]!, shape.tokens);
    this.onRouted?.(l, layer.moe, this.routes.logitsOf(layer.moe, shape.tokens), routes);
    return guess ? { ...routes, next: this.routes.guess(layer.moe, guess) } : routes;
  }

  private layerGraph(l: number, shape: Shape, arrived?: Tensor): Graph {
    return this.parts.accelerator.graph(LAYER_CAPACITY, (g) => this.buildLayer(g, l, shape, arrived));
  }

  /** Graphs for one token are built once for a number of cache rows, and reused until that changes. */
  private keptLayer(l: number, shape: Shape, arrived?: Tensor): Graph {
    const { rows, extended, guesses } = this.kept;
    if (rows !== shape.rows || extended !== shape.extended || guesses !== shape.guesses) {
      for (const graph of this.kept.graphs) graph?.free();
      this.kept.graphs = [];
      this.kept.rows = shape.rows;
      this.kept.extended = shape.extended;
      this.kept.guesses = shape.guesses;
    }
    return (this.kept.graphs[2 * l + (arrived ? 1 : 0)] ??= this.layerGraph(l, shape, arrived));
  }

  private buildLayer(g: Graph, l: number, { tokens, rows, extended, guesses }: Shape, arrived?: Tensor): void {
    const { attentionNorm, attention, feedForwardNorm, dense, moe } = this.layers[l]!;
    const step: Step = {
      tokens,
      cacheRows: rows,
      extended,
      positions: this.inputs.positionsOf(g, tokens),
      mask: (window) => this.inputs.maskOf(g, rows, tokens, window),
      supports: (operation) => this.parts.accelerator.compute.supports(operation),
    };
    const hidden = g.rows(this.hidden, 0, tokens);
    const x = this.finished(g, l, arrived ? g.compute(g.addTo(hidden, g.rows(arrived, 0, tokens))) : hidden);
    const attended = g.compute(g.addTo(x, attention(g, attentionNorm(g, x), step)));
    const normal = feedForwardNorm(g, attended);
    if (moe) {
      g.compute(g.copy(normal, g.rows(this.routes.input, 0, tokens)));
      this.routes.build(g, moe, normal);
    }
    const state = dense ? g.compute(g.addTo(attended, dense(g, normal))) : attended;
    const next = guesses && moe ? this.following[l] : undefined;
    if (next?.moe) this.routes.build(g, next.moe, next.feedForwardNorm(g, state), moe!.experts.count);
  }

  /** Logits [vocabulary] after each of these tokens of the call, at most {@link LOGIT_ROWS} of them. */
  logits(tokens: readonly number[]): Float32Array {
    const { accelerator, spec } = this.parts;
    integers(this.hostWanted).set(tokens);
    if (!accelerator.unified) accelerator.compute.write(this.wanted, this.hostWanted.address, 0, tokens.length * 4);
    let result!: Tensor;
    const graph = accelerator.graph(32, (g) => {
      result = this.buildHead(g, tokens.length);
    });
    accelerator.compute.compute(graph);
    const values = new Float32Array(tokens.length * spec.vocabulary);
    api().tensorGet(result.pointer, values, 0, values.byteLength);
    graph.free();
    return values;
  }

  private buildHead(g: Graph, count: number): Tensor {
    const { norm, head } = this.parts.spec;
    const rows = g.getRows(this.hidden, g.slice(this.wanted, 0, count));
    return g.output(head(g, norm(g, this.finished(g, this.layers.length, rows))));
  }

  /** The hidden states that layer `l` takes, or the head: with what the layer before does behind its experts. */
  private finished(g: Graph, l: number, x: Tensor): Tensor {
    const epilogue = this.layers[l - 1]?.epilogue;
    return epilogue ? g.compute(g.addTo(x, epilogue(g, x))) : x;
  }

  free(): void {
    for (const graph of this.kept.graphs) graph?.free();
    this.inputs.free();
    this.routes.free();
    this.memory.free();
    this.context.free();
  }
}

/** What the graphs of a call depend on. */
export interface Shape {
  tokens: number;
  /** Rows of the KV cache that attention reads. */
  rows: number;
  /** The sequence is longer than the model's `extendedBeyond`. */
  extended: boolean;
  /** Speculative expert loading (arXiv 2312.17238, section 3.2): the next router is asked about the present state. */
  guesses: boolean;
}
