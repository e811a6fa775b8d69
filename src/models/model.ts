import type { ExpertsSpec } from '../experts/spec.js';
import type { Graph } from '../ggml/graph.js';
import type { Tensor } from '../ggml/tensor.js';
import type { JsonObject } from '../weights/config.js';
import type { Declarations, Parameter, RelativeBias } from './parameters.js';
import type { Router } from './router.js';
import type { Capacity } from './router-capacity.js';

/** What one call of the model computes with, besides hidden states. */
export interface Step {
  /** Tokens of this call. */
  tokens: number;
  /** Rows of the KV cache that attention reads: at least what is filled, padded to few sizes. */
  cacheRows: number;
  /** The sequence is longer than {@link Declarations.extendedBeyond}. */
  extended: boolean;
  /** I32 [tokens]: each token's position, which is also its row in the KV cache. */
  positions: Tensor;
  /** F16 [cacheRows, tokens]: 0 where a token may look, −∞ elsewhere; with a sliding window, only the last `window`. */
  mask(window?: number): Tensor;
  /** F32 [cacheRows, tokens, heads]: what the distance adds where a token may look, −∞ elsewhere. */
  biasedMask(bias: RelativeBias): Tensor;
  /** In a decoder that reads an encoder's output: rows of it, and F16 [rows, tokens], 0 where there is a token. */
  source?: { rows: number; mask: Tensor };
  /** Whether the device computes this operation. */
  supports(operation: Tensor): boolean;
}

/** Builds part of a graph: x [hidden, n] → [out, n]. */
export type Block = (g: Graph, x: Tensor) => Tensor;

/** Builds attention: normalised hidden states [hidden, n] → [hidden, n], writing this call's keys and values. */
export type AttentionBlock = (g: Graph, x: Tensor, step: Step) => Tensor;

/** A router and its experts. */
export interface MoeSpec {
  /** Router weight [experts, hidden]. */
  gate: Parameter;
  router: Router;
  /** Experts serve no more tokens of a call than this. */
  capacity?: Capacity;
  experts: ExpertsSpec;
}

/** Attention of a decoder to what its encoder made of the prompt (arXiv 1706.03762, section 3.2.3). */
export interface CrossAttention {
  /** Writes the keys and values of the encoder's output [hidden, n], once for a prompt. */
  remember(g: Graph, encoded: Tensor, positions: Tensor): void;
  attend: AttentionBlock;
}

/**
 * One layer: x += attention(norm(x)); x += cross(norm(x)) where it has one; x += feedForward(norm(x)); x += epilogue(x)
 * where it has one.
 */
export interface LayerSpec {
  attentionNorm: Block;
  attention: AttentionBlock;
  cross?: CrossAttention & { norm: Block };
  feedForwardNorm: Block;
  /** What every token passes through: the dense feed-forward of a layer without routed experts, or shared experts. */
  dense?: Block;
  moe?: MoeSpec;
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
  /** One of `architectures` there, where `model_type` is another model's too; and what the family is called instead. */
  architecture?: string;
  name?: string;
  /** Checks the config and describes the model. @throws FiddlerError `file` or `unsupported`, naming the key */
  describe(config: JsonObject, declare: Declarations): ModelSpec;
}
