import { type Device, type HostMemory, HostTensors, integers } from '../devices/device.js';
import { KEPT_ROWS, KeptGraphs } from '../devices/kept-graphs.js';
import type { MappedTensors } from '../devices/mapped.js';
import { expertLayersOf, layersOf, type ModelSpec } from '../models/model.js';
import type { CacheRows, Declarations } from '../models/parameters.js';
import type { Graph } from '../native/ggml/graph.js';
import { type Tensor, Type } from '../native/ggml/tensor.js';
import type { StoredTensor } from '../weights/checkpoint.js';
import type { Batch } from './batch.js';
import type { Choices } from './choices.js';
import { Head } from './head.js';
import { hiddenStates } from './hidden-states.js';
import { type InputSizes, StepInputs } from './inputs.js';
import { type Keeper, Kept } from './kept.js';
import { copyRows, Ring } from './ring.js';
import { type OnRouted, RouteBuffers } from './routes.js';
import { type OnChosen, Stack, type StackParts } from './stack.js';
import { States } from './states.js';
import { partOfCache } from './step.js';
import { type FoundTable, TableRows } from './table-rows.js';

const EMBEDDING_CAPACITY = 8;

export interface NetworkParts {
  cpu: Device;
  accelerator: Device;
  spec: ModelSpec;
  declarations: Declarations;
  embedding: StoredTensor;
  tables: readonly FoundTable[];
  mapped: MappedTensors;
  /** Most tokens of a sequence in a call, of a call, and of the context. */
  chunk: number;
  calls: number;
  context: number;
  /** Sequences that the KV cache has rows for. */
  sequences: number;
  hostMemory: HostMemory;
  /** Rows of it for each sequence, by the layers' windows. */
  rows: ReadonlyMap<number, number>;
  /** Attention reads the KV cache in steps of at least so many rows. */
  cacheStep: number;
  choices: Choices;
}

/** Everything of a model but its routed experts: embedding, attention, routers, dense layers, output head. */
export class Network {
  /** What experts add to on the accelerator [calls, as wide as what they read]: the hidden states, or a sum that layers merge. */
  readonly expertSum: Tensor;
  /** The layers that read and write one token after the other. */
  readonly decoder: Stack;
  /** From the decoder's hidden states to logits. */
  readonly head: Head;
  /** Those that read a whole prompt for it, in an encoder-decoder. */
  readonly encoder?: Stack;
  /** What layers keep of sequences beside rows for each of their positions. */
  readonly kept: Kept;

  /** Hidden states [calls, hidden] on the accelerator. */
  private readonly hidden: Tensor;
  private readonly routes: RouteBuffers;
  private readonly tables: TableRows;
  private readonly memory = new HostTensors(8);
  private readonly table: Tensor;
  private readonly ids: Tensor;
  /** The same, as they lie in memory. */
  private readonly tokens: Int32Array;
  private readonly embedded: Tensor;
  /** See StackParts. */
  private readonly merging?: StackParts['merging'];
  /** By number of tokens, in calls of few. */
  private readonly embeddings: KeptGraphs;

  constructor(private readonly parts: NetworkParts) {
    const { cpu, accelerator, spec, declarations, calls, sequences, embedding, tables, mapped, hostMemory } = parts;
    this.embeddings = new KeptGraphs(cpu);
    this.table = mapped.matrix(embedding, spec.vocabulary, spec.hidden);
    this.ids = this.memory.tensor(Type.I32, calls);
    this.embedded = this.memory.tensor(Type.F32, spec.hidden, calls);
    this.memory.allocate(hostMemory);
    this.tokens = integers(this.ids);
    const width = expertLayersOf(spec)[0]?.hidden ?? spec.hidden;
    const { hidden, merging } = hiddenStates(parts, width, accelerator.unified ? this.embedded : undefined);
    this.hidden = hidden;
    this.merging = merging;
    this.expertSum = merging?.sum ?? hidden;
    this.routes = new RouteBuffers(accelerator, layersOf(spec), width, calls, hostMemory, parts.choices, this.tokens);
    this.tables = new TableRows(accelerator, tables, calls, hostMemory);
    this.kept = new Kept(keepersOf(parts));
    const { encoder, layers } = spec;
    const { relativeBiases, windows, extendedBeyond, blocks } = declarations;
    const biases = (bidirectional: boolean) => relativeBiases.filter((bias) => bias.bidirectional === bidirectional);
    if (encoder) {
      const own = { layers: encoder.layers, expertLayersBefore: 0, bidirectional: true };
      const masks = { windows: new Map(), masked: new Set<number>(), relativeBiases: biases(true), source: false };
      this.encoder = this.stack(own, masks);
    }
    const expertLayersBefore = encoder?.layers.filter(({ moe }) => moe).length ?? 0;
    const own = { layers, expertLayersBefore, bidirectional: false, extendedBeyond };
    const masks = { windows: parts.rows, masked: windows, blocks, relativeBiases: biases(false) };
    this.decoder = this.stack(own, { ...masks, source: encoder !== undefined });
    this.head = new Head({ accelerator, spec, decoder: this.decoder, hidden, sequences, hostMemory });
  }

  private stack(
    own: Pick<StackParts, 'layers' | 'expertLayersBefore' | 'bidirectional' | 'extendedBeyond'>,
    masks: Omit<InputSizes, 'calls' | 'context' | 'sequences'>,
  ): Stack {
    const { accelerator, calls, context, sequences, hostMemory, cacheStep, rows } = this.parts;
    return new Stack({
      ...own,
      accelerator,
      cacheStep,
      rows,
      hidden: this.hidden,
      merging: this.merging,
      routes: this.routes,
      inputs: new StepInputs(accelerator, { calls, context, sequences, ...masks }, hostMemory),
      embed: (batch, count) => this.embed(batch, count),
    });
  }

  /** Tokens before a call's that it has to know. */
  get before(): number {
    return this.tables.before;
  }

  /** What the present layer's experts read: on the accelerator, and in the host's memory. */
  get expertInput(): Pick<RouteBuffers, 'input' | 'hostInput' | 'awaitInput'> {
    return this.routes;
  }

  /** Observes the routers; for comparisons. */
  set onRouted(observer: OnRouted | undefined) {
    this.routes.onRouted = observer;
  }

  /** Observes indexers; for comparisons. */
  set onChosen(observer: OnChosen | undefined) {
    this.decoder.onChosen = observer;
  }

  /** Makes room on the devices for the largest graphs of this network. */
  reserve(): void {
    const { accelerator, cpu, chunk, calls, context, sequences } = this.parts;
    for (const stack of [this.encoder, this.decoder]) stack?.reserve(chunk, context, sequences);
    if (this.encoder) accelerator.reserve(this.sourceCapacity, (g) => this.buildSource(g, this.encoder!, chunk));
    this.head.reserve();
    cpu.reserve(EMBEDDING_CAPACITY, (g) => this.buildEmbedding(g, calls));
  }

  private embed(batch: Batch, count: number): void {
    const { accelerator, cpu, spec } = this.parts;
    let row = 0;
    for (const { tokens } of batch) {
      this.tokens.set(tokens, row);
      row += tokens.length;
    }
    const build = (g: Graph) => this.buildEmbedding(g, count);
    if (count > KEPT_ROWS) cpu.once(EMBEDDING_CAPACITY, build);
    else cpu.compute.compute(this.embeddings.of(count, EMBEDDING_CAPACITY, build)!.graph);
    this.tables.gather(batch);
    if (accelerator.unified) return;
    const target = spec.streams ? this.merging!.sum : this.hidden;
    accelerator.compute.write(target, this.embedded.address, 0, count * spec.hidden * 4);
  }

  private buildEmbedding(g: Graph, count: number): void {
    const { scale = 1 } = this.parts.spec.embedding;
    const rows = g.getRows(this.table, g.slice(this.ids, 0, count));
    g.compute(g.copy(scale === 1 ? rows : g.scale(rows, scale), g.rows(this.embedded, 0, count)));
  }

  /** Gives the cross-attention of the sequence in `slot` what the encoder just made of `count` tokens. */
  handOver(count: number, slot: number): void {
    this.parts.accelerator.once(this.sourceCapacity, (g) => this.buildSource(g, this.encoder!, count, slot));
  }

  private buildSource(g: Graph, encoder: Stack, count: number, slot = 0): void {
    const encoded = this.parts.spec.encoder!.norm(g, encoder.finished(g, g.rows(this.hidden, 0, count)));
    const positions = encoder.positionsOf(g, count);
    const partOf = (cache: CacheRows) => partOfCache(g, cache, { slot, sequences: 1 });
    for (const { cross } of this.decoder.layers) cross?.remember(g, encoded, positions, partOf);
  }

  private get sourceCapacity(): number {
    return 16 + 10 * this.decoder.layers.length;
  }

  /** Gives the sequence in `to` copies of the rows [first, end) of what the one in `from` has in the KV cache, rings left out. */
  copyRows(from: number, to: number, first: number, end: number): void {
    const { accelerator, declarations, rows } = this.parts;
    const plain = declarations.caches.filter(({ window }) => rows.get(window) === rows.get(0));
    copyRows(accelerator, plain, { from, to }, [{ from: first, count: end - first }]);
  }

  /**
   * A call of the decoder for one sequence behind `past` made-up tokens, with as many of a source for cross-attention.
   * @param before those of them that are known, the last
   */
  madeUp(tokens: readonly number[], past: number, slot = 0, before: readonly number[] = []): Batch {
    return [{ slot, tokens, past, before, source: this.encoder ? Math.max(1, past) : 0, extended: false }];
  }

  /** All graphs of the accelerator were freed. */
  forget(): void {
    for (const stack of [this.encoder, this.decoder]) stack?.dropGraphs();
    this.embeddings.drop();
    this.head.drop();
  }
}

/** What layers keep of sequences beside rows for each position. */
function keepersOf({ accelerator, declarations: { states, caches }, rows, sequences }: NetworkParts): Keeper[] {
  const rings = [...rows].flatMap(([window, ring]) => {
    const own = caches.filter((cache) => cache.window === window);
    return ring < rows.get(0)! ? [new Ring(accelerator, own, { window, rows: ring }, sequences)] : [];
  });
  return states.length > 0 ? [new States(accelerator, states, sequences), ...rings] : rings;
}
