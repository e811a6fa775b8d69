import type { DecoderConfig } from '../config.js';
import type { Block, LayerSpec, ModelSpec } from '../model.js';
import type { Declarations } from '../parameters.js';
import { linear, scaled } from './linear.js';

export interface DecoderOptions {
  norm(name: string): Block;
  /** @param prefix `model.layers.${l}.self_attn` */
  attention(prefix: string, l: number): LayerSpec['attention'];
  /** @param prefix `model.layers.${l}` */
  feedForward(prefix: string, l: number): Pick<LayerSpec, 'dense' | 'moe' | 'epilogue'>;
  /** Factors of embeddings and logits, 1 by default. */
  embeddingScale?: number;
  logitScale?: number;
  headBias?: boolean;
}

/** A decoder whose layers and tensors are arranged and named as Llama's (arXiv 2302.13971) in transformers. */
export function decoder(declare: Declarations, config: DecoderConfig, options: DecoderOptions): ModelSpec {
  const { vocab_size: vocabulary, hidden_size: hidden, tie_word_embeddings: tied } = config;
  const { norm, attention, feedForward } = options;
  return {
    vocabulary,
    hidden,
    context: config.max_position_embeddings,
    embedding: { name: 'model.embed_tokens.weight', scale: options.embeddingScale },
    layers: Array.from({ length: config.num_hidden_layers }, (_, l) => {
      const layer = `model.layers.${l}`;
      return {
        attentionNorm: norm(`${layer}.input_layernorm`),
        attention: attention(`${layer}.self_attn`, l),
        feedForwardNorm: norm(`${layer}.post_attention_layernorm`),
        ...feedForward(layer, l),
      };
    }),
    norm: norm('model.norm'),
    head: scaled(
      linear(declare, tied ? 'model.embed_tokens' : 'lm_head', vocabulary, hidden, options.headBias),
      options.logitScale ?? 1,
    ),
  };
}
