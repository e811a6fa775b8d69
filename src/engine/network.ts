import { type Device, type HostMemory, HostTensors, integers } from '../devices/device.js';
import type { MappedTensors } from '../devices/mapped.js';
import { api } from '../ggml/api.js';
import type { Graph } from '../ggml/graph.js';
import { type Tensor, TensorContext, Type } from '../ggml/tensor.js';
import { layersOf, type ModelSpec } from '../models/model.js';
import type { Declarations } from '../models/parameters.js';
import type { StoredTensor } from '../weights/checkpoint.js';
import { type InputSizes, StepInputs } from './inputs.js';
import { type OnRouted, RouteBuffers } from './routes.js';
import { Stack, type StackParts } from './stack.js';

/** Rows of logits computed at once when a whole text is scored. */
export const LOGIT_ROWS = 32;

export interface NetworkParts {
  cpu: Device;
  accelerator: Device;
  spec: ModelSpec;
  declarations: Declarations;
  embedding: StoredTensor;
  mapped: MappedTensors;
  /** Most tokens of a call, and of the context. */
  chunk: number;
  context: number;
  hostMemory: HostMemory;
  /** Attention reads the KV cache in steps of at least so many rows. */
  cacheStep: number;
}

/** Everything of a model but its routed experts: embedding, attention, routers, dense layers, output head. */
export class Network {
  /** Hidden states [chunk, hidden] on the accelerator; layers and experts add to them. */
  readonly hidden: Tensor;
  /** The layers that read and write one token after the other. */
  readonly decoder: Stack;
  /** Those that read a whole prompt for it, in an encoder-decoder. */
  readonly encoder?: Stack;

  private readonly routes: RouteBuffers;
  private readonly memory = new HostTensors(8);
  private readonly context = new TensorContext(8);
  private readonly table: Tensor;
  private readonly ids: Tensor;
  private readonly embedded: Tensor;
  private readonly wanted: Tensor;
  private readonly hostWanted: Tensor;

  constructor(private readonly parts: NetworkParts) {
    const { accelerator, spec, declarations, chunk, embedding, mapped, hostMemory } = parts;
    const unified = accelerator.unified;
    this.table = mapped.matrix(embedding, spec.vocabulary, spec.hidden);
    this.ids = this.memory.tensor(Type.I32, chunk);
    this.hostWanted = this.memory.tensor(Type.I32, LOGIT_ROWS);
    this.embedded = this.memory.tensor(Type.F32, spec.hidden, chunk);
    this.memory.allocate(hostMemory);
    this.hidden = unified ? this.embedded : this.context.tensor(Type.F32, spec.hidden, chunk);
    this.wanted = unified ? this.hostWanted : this.context.tensor(Type.I32, LOGIT_ROWS);
    if (!unified) accelerator.allocate(this.context, 'hidden states');
    this.routes = new RouteBuffers(accelerator, layersOf(spec), spec.hidden, chunk, hostMemory);
    const { encoder, layers } = spec;
    const { relativeBiases, windows, extendedBeyond } = declarations;
    const biases = (bidirectional: boolean) => relativeBiases.filter((bias) => bias.bidirectional === bidirectional);
    if (encoder) {
      const own = { layers: encoder.layers, expertLayersBefore: 0, bidirectional: true };
      this.encoder = this.stack(own, { windows: [], relativeBiases: biases(true), source: false });
    }
    const expertLayersBefore = encoder?.layers.filter(({ moe }) => moe).length ?? 0;
    this.decoder = this.stack(
      { layers, expertLayersBefore, bidirectional: false, extendedBeyond },
      { windows: [...windows], relativeBiases: biases(false), source: encoder !== undefined },
    );
  }

  private stack(
    own: Pick<StackParts, 'layers' | 'expertLayersBefore' | 'bidirectional' | 'extendedBeyond'>,
    masks: Pick<InputSizes, 'windows' | 'relativeBiases' | 'source'>,
  ): Stack {
    const { accelerator, chunk, context, hostMemory, cacheStep } = this.parts;
    return new Stack({
      ...own,
      accelerator,
      cacheStep,
      hidden: this.hidden,
      routes: this.routes,
      inputs: new StepInputs(accelerator, { chunk, context, ...masks }, hostMemory),
      embed: (tokens) => this.embed(tokens),
    });
  }

  /** What the present layer's experts read: on the accelerator, and in the host's memory. */
  get expertInput(): Pick<RouteBuffers, 'input' | 'hostInput'> {
    return this.routes;
  }

  /** Observes the routers; for comparisons. */
  set onRouted(observer: OnRouted | undefined) {
    this.routes.onRouted = observer;
  }

  /** Makes room on the devices for the largest graphs of this network. */
  reserve(): void {
    const { accelerator, cpu, chunk, context } = this.parts;
    for (const stack of [this.encoder, this.decoder]) stack?.reserve(chunk, context);
    if (this.encoder) accelerator.reserve(this.sourceCapacity, (g) => this.buildSource(g, this.encoder!, chunk));
    accelerator.reserve(32, (g) => this.buildHead(g, LOGIT_ROWS));
    cpu.reserve(8, (g) => this.buildEmbedding(g, chunk));
  }

  private embed(tokens: readonly number[]): void {
    const { accelerator, cpu, spec } = this.parts;
    integers(this.ids).set(tokens);
    cpu.once(8, (g) => this.buildEmbedding(g, tokens.length));
    if (accelerator.unified) return;
    accelerator.compute.write(this.hidden, this.embedded.address, 0, tokens.length * spec.hidden * 4);
  }

  private buildEmbedding(g: Graph, count: number): void {
    const { scale = 1 } = this.parts.spec.embedding;
    const rows = g.getRows(this.table, g.slice(this.ids, 0, count));
    g.compute(g.copy(scale === 1 ? rows : g.scale(rows, scale), g.rows(this.embedded, 0, count)));
  }

  /** Gives the decoder's cross-attention what the encoder just made of `count` tokens. */
  handOver(count: number): void {
    this.parts.accelerator.once(this.sourceCapacity, (g) => this.buildSource(g, this.encoder!, count));
    this.decoder.source = count;
  }

  private buildSource(g: Graph, encoder: Stack, count: number): void {
    const encoded = this.parts.spec.encoder!.norm(g, encoder.finished(g, g.rows(this.hidden, 0, count)));
    const positions = encoder.positionsOf(g, count);
    for (const { cross } of this.decoder.layers) cross?.remember(g, encoded, positions);
  }

  private get sourceCapacity(): number {
    return 16 + 8 * this.decoder.layers.length;
  }

  /** The decoder as it is behind `past` made-up tokens, with as many of a source for cross-attention. */
  pretend(past: number): Stack {
    if (this.encoder) this.decoder.source = Math.max(1, past);
    return this.decoder;
  }

  /** Logits [vocabulary] after each of these tokens of the decoder's call, at most {@link LOGIT_ROWS} of them; in an array of that size. */
  logits(tokens: readonly number[], into?: Float32Array): Float32Array {
    const { accelerator, spec } = this.parts;
    integers(this.hostWanted).set(tokens);
    if (!accelerator.unified) accelerator.compute.write(this.wanted, this.hostWanted.address, 0, tokens.length * 4);
    let result!: Tensor;
    const graph = accelerator.graph(32, (g) => {
      result = this.buildHead(g, tokens.length);
    });
    accelerator.compute.compute(graph);
    const values = into ?? new Float32Array(tokens.length * spec.vocabulary);
    api().tensorGet(result.pointer, values, 0, values.byteLength);
    graph.free();
    return values;
  }

  private buildHead(g: Graph, count: number): Tensor {
    const { norm, head } = this.parts.spec;
    const rows = g.getRows(this.hidden, g.slice(this.wanted, 0, count));
    return g.output(head(g, norm(g, this.decoder.finished(g, rows))));
  }

  free(): void {
    this.encoder?.free();
    this.decoder.free();
    this.routes.free();
    this.memory.free();
    this.context.free();
  }
}
