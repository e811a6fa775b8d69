import type { ExpertsSpec } from '../experts/spec.js';
import type { Graph } from '../native/ggml/graph.js';
import type { Tensor } from '../native/ggml/tensor.js';
import type { JsonObject } from '../weights/config.js';
import type { Renaming } from '../weights/renamed.js';
import type { CacheRows, Declarations, Parameter, RelativeBias, State } from './parameters.js';
import type { Router } from './router.js';
import type { Capacity } from './router-capacity.js';

/** What one call of the model computes with, besides hidden states. */
export interface Step {
  /** Tokens of this call. */
  tokens: number;
  /** The sequences are longer than {@link Declarations.extendedBeyond}. */
  extended: boolean;
  /** I32 [tokens]: each token's position in its sequence. */
  positions: Tensor;
  /** The call's sequences as attention takes them, in the order of its tokens. */
  groups: readonly StepGroup[];
  /** Whether the device computes this operation. */
  supports(operation: Tensor): boolean;
  /** Told by what an indexer chooses so many rows, F32 [rows, tokens, sequences]; for comparisons. */
  onScored?(scores: Tensor, kept: number): void;
}

/** Sequences that attention takes in one operation, each with its own rows of the KV cache. Shapes are ggml's. */
export interface StepGroup {
  /** Of each sequence. */
  tokens: number;
  sequences: number;
  /** Rows of a cache that attention reads of each sequence: at least what it looks at, padded to few sizes. */
  readOf(cache: CacheRows): { from: number; count: number };
  /** I32 [tokens, sequences]: each token's row in its sequence's part of a cache. */
  writtenOf(cache: CacheRows): Tensor;
  /** F16 [rows read, tokens, 1, sequences]: 0 where a token may look, −∞ elsewhere; with a sliding window, only the last `window`. */
  mask(window?: number): Tensor;
  /** F32 [rows read, tokens, heads, sequences]: what the distance adds where a token may look, −∞ elsewhere. */
  biasedMask(bias: RelativeBias): Tensor;
  /** In a decoder that reads an encoder's output: rows of it, and F16 [rows, tokens, 1, sequences], 0 where there is a token. */
  source?: { rows: number; mask: Tensor };
  /** The group's part of what the call's tokens have: [width, n] → [width, tokens, sequences]. */
  rowsOf(a: Tensor): Tensor;
  /** The same of what begins at the device's alignment, for operations that read nothing else. */
  alignedRowsOf(a: Tensor): Tensor;
  /** [size, heads, n] → [size, heads, tokens, sequences]. */
  headsOf(a: Tensor): Tensor;
  /** The sequences' parts of a cache: [width, rows, sequences]. */
  partOf(cache: CacheRows): Tensor;
  /** The sequences' states: F32 [size, sequences], in order. */
  stateOf(state: State): Tensor;
  /** Blocks of so many positions. */
  blocksOf(every: number): StepBlocks;
}

/** Blocks of positions that share a row of a cache, as a group's tokens see them: the first are complete, then comes the tail. */
export interface StepBlocks {
  /** Blocks that are read of each sequence, some of them not visible. */
  read: number;
  /** I32 [touched, sequences]: blocks of which the call writes tokens, and the rows of `every` rows each in their ring. */
  numbers: Tensor;
  lying: Tensor;
  /** Of the blocks before these: I32 [touched, sequences], and F32 [1, touched, sequences], −∞ where there is none, else 0. */
  lyingBefore: Tensor;
  followed: Tensor;
  /** I32 [touched · sequences]: first positions of these. */
  starts: Tensor;
  /** F32 [read, tokens, sequences]: 0 where a block is complete at that token, or a trace more the later it is, −∞ elsewhere. */
  visible: Tensor;
  /** I32 [1, tokens, sequences]: how many are complete, which is the number of the tail; and a row that is there, for it. */
  tails: Tensor;
  tailRows: Tensor;
  /** F32 [every, tokens, sequences]: 0 for the positions of the tail that are there, −∞ elsewhere. */
  tailMask: Tensor;
}

/** Builds part of a graph: x [hidden, n] → [out, n]. */
export type Block = (g: Graph, x: Tensor) => Tensor;

/** Builds attention: normalised hidden states [hidden, n] → [hidden, n], writing this call's keys and values. */
export type AttentionBlock = (g: Graph, x: Tensor, step: Step) => Tensor;

/** A router and its experts. */
export interface MoeSpec {
  /** Router weight [experts, hidden]. */
  gate: Parameter;
  /** What the router reads, of the state before the experts; their layer's normalised state by default. */
  routerNorm?: Block;
  /** What the experts read, of their layer's normalised state; that itself by default. */
  input?: Block;
  router: Router;
  /** Experts serve no more tokens of a call than this. */
  capacity?: Capacity;
  experts: ExpertsSpec;
}

/** Attention of a decoder to what its encoder made of the prompt (arXiv 1706.03762, section 3.2.3). */
export interface CrossAttention {
  /**
   * Writes the keys and values of the encoder's output [hidden, n], once for a prompt.
   * @param partOf a sequence's part of a cache
   */
  remember(g: Graph, encoded: Tensor, positions: Tensor, partOf: (cache: CacheRows) => Tensor): void;
  attend: AttentionBlock;
}

/** What a layer makes of the sum of its experts, where it does not add that as it is. */
export interface Merge {
  /** What is computed beside the experts, of the state x before them, and of that as it is normalised. */
  beside?: (g: Graph, x: Tensor, normal: Tensor) => Tensor;
  /**
   * The new state of x [hidden, n], `dense` added, of the sum of the experts, as wide as what they read, and of what was
   * computed beside them [hidden, n].
   */
  join(g: Graph, x: Tensor, sum: Tensor, beside?: Tensor): Tensor;
}

/** How a layer's block reads the residual streams [hidden · streams, n], and writes to them (arXiv 2409.19606). */
export interface HyperConnection {
  /** What the block reads [hidden, n], and what weighs its result and the streams for each stream [weights, n]. */
  read(g: Graph, streams: Tensor, supports: Step['supports']): { input: Tensor; weights: Tensor };
  /** The streams with the block's result [hidden, n]. */
  write(g: Graph, streams: Tensor, result: Tensor, weights: Tensor, supports: Step['supports']): Tensor;
}

/**
 * One layer: x += attention(norm(x)); x += cross(norm(x)) where it has one; x += feedForward(norm(x)); x += epilogue(x)
 * where it has one. It may have attention alone, or a feed-forward alone, and the norm of that.
 */
export interface LayerSpec {
  attentionNorm?: Block;
  attention?: AttentionBlock;
  /** The feed-forward reads what attention reads, not what comes of it. */
  parallel?: boolean;
  cross?: CrossAttention & { norm: Block };
  feedForwardNorm?: Block;
  /** What every token passes through: the dense feed-forward of a layer without routed experts, or shared experts. */
  dense?: Block;
  moe?: MoeSpec;
  /** In a layer with experts; where one layer has it, the others add the sum to the state. */
  merge?: Merge;
  /** What takes the place of these sums where there are several residual streams. */
  connections?: { attention: HyperConnection; feedForward: HyperConnection };
  /** Is added to the streams before attention: [hidden · streams, n] → the same. */
  injection?: AttentionBlock;
  /** A further block behind the experts, its norm included. */
  epilogue?: Block;
}

/** Layers one after the other, and what normalises their result. */
export interface StackSpec {
  layers: LayerSpec[];
  norm: Block;
}

/** A model as its family describes it: what to compute, and which tensors that takes. Its own layers are a decoder's. */
export interface ModelSpec extends StackSpec {
  vocabulary: number;
  hidden: number;
  /** Longest context in tokens that the model was made for. */
  context: number;
  /** Token embeddings [vocabulary, hidden], multiplied by `scale` (1 by default). */
  embedding: { name: string; scale?: number };
  /** Residual streams, each of which begins as the embedding, and numbers that a connection weighs by; `norm` reads all of them. */
  streams?: { count: number; weights: number };
  /** What reads the prompt, as a whole; the decoder then begins with the token `start` and writes the answer. */
  encoder?: StackSpec & { start: number };
  /** Normalised hidden states → logits [vocabulary, n]. */
  head: Block;
}

/** All layers of a model, the encoder's first: the order in which those with experts are numbered. */
export function layersOf({ encoder, layers }: ModelSpec): readonly LayerSpec[] {
  return encoder ? [...encoder.layers, ...layers] : layers;
}

/** The routed experts of each layer that has some, in the order in which these are numbered. */
export function expertLayersOf(spec: ModelSpec): ExpertsSpec[] {
  return layersOf(spec).flatMap(({ moe }) => (moe ? [moe.experts] : []));
}

/** A family of models: one file under models/, one line in the registry. */
export interface Family {
  /** `model_type` in config.json. */
  modelType: string;
  /** `model_type` of checkpoints that hold more than text, where that of their `text_config` is the family's. */
  within?: string;
  /** One of `architectures` there, where `model_type` is another model's too; and what the family is called instead. */
  architecture?: string;
  name?: string;
  /** What newer transformers call parts of its tensors' names. */
  renamings?: readonly Renaming[];
  /** Checks the config and describes the model. @throws FiddlerError `file` or `unsupported`, naming the key */
  describe(config: JsonObject, declare: Declarations): ModelSpec;
}
