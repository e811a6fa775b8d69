import type { ExpertsSpec } from '../experts/spec.js';
import type { Graph } from '../ggml/graph.js';
import type { Tensor } from '../ggml/tensor.js';
import type { JsonObject } from '../weights/config.js';
import type { Declarations, Parameter } from './parameters.js';
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

/** One decoder layer: x += attention(norm(x)); x += feedForward(norm(x)); x += epilogue(x) where it has one. */
export interface LayerSpec {
  attentionNorm: Block;
  attention: AttentionBlock;
  feedForwardNorm: Block;
  /** What every token passes through: the dense feed-forward of a layer without routed experts, or shared experts. */
  dense?: Block;
  moe?: MoeSpec;
  /** A further block behind the experts, its norm included. */
  epilogue?: Block;
}

/** A model as its family describes it: what to compute, and which tensors that takes. */
export interface ModelSpec {
  vocabulary: number;
  hidden: number;
  /** Longest context in tokens that the model was made for. */
  context: number;
  /** Token embeddings [vocabulary, hidden], multiplied by `scale` (1 by default). */
  embedding: { name: string; scale?: number };
  layers: LayerSpec[];
  norm: Block;
  /** Normalised hidden states → logits [vocabulary, n]. */
  head: Block;
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
