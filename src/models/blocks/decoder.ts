import type { DecoderConfig } from '../config.js';
import type { Block, LayerSpec, ModelSpec } from '../model.js';
import type { Declarations } from '../parameters.js';
import { linear, scaled, tiedHead } from './linear.js';

/** What decoders have besides their layers. */
interface Outside {
  /** What the names of all tensors but the head's begin with, `model` by default; and the head's name, `lm_head`. */
  names?: { model: string; head: string };
  /** What the embeddings and the last norm are called behind `${model}.`, `embed_tokens` and `norm` by default. */
  embedding?: string;
  lastNorm?: string;
  norm(name: string): Block;
  /** Factors of embeddings and logits, 1 by default. */
  embeddingScale?: number;
  logitScale?: number;
  headBias?: boolean;
  /** Logits are limited to ± this by limit · tanh(logit / limit) (Gemma 2, arXiv 2408.00118, section 2). */
  softcap?: number;
}

export interface DecoderOptions extends Outside {
  /** What the feed-forward's norm is called behind `${prefix}.`, `post_attention_layernorm` by default. */
  feedForwardNorm?: string;
  /** What attention's norm is called there, `input_layernorm` by default. */
  attentionNorm?: string;
  /** The feed-forward reads what attention reads, with the same norm. */
  parallel?: boolean;
  /** @param prefix `model.layers.${l}.self_attn` */
  attention(prefix: string, l: number): LayerSpec['attention'];
  /** @param prefix `model.layers.${l}` */
  feedForward(prefix: string, l: number): Pick<LayerSpec, 'dense' | 'moe' | 'merge' | 'epilogue'>;
}

/** A decoder whose layers and tensors are arranged and named as Llama's (arXiv 2302.13971) in transformers. */
export function decoder(declare: Declarations, config: DecoderConfig, options: DecoderOptions): ModelSpec {
  const { norm, attention, feedForward } = options;
  return decoderOf(declare, config, options, (layer, l) => {
    const attentionNorm = norm(`${layer}.${options.attentionNorm ?? 'input_layernorm'}`);
    const second = options.feedForwardNorm ?? 'post_attention_layernorm';
    return {
      attentionNorm,
      attention: attention(`${layer}.self_attn`, l),
      parallel: options.parallel,
      feedForwardNorm: options.parallel ? attentionNorm : norm(`${layer}.${second}`),
      ...feedForward(layer, l),
    };
  });
}

/** A decoder of any layers. @param layerOf by the prefix `${model}.layers.${l}` */
export function decoderOf(
  declare: Declarations,
  config: DecoderConfig,
  options: Outside,
  layerOf: (prefix: string, l: number) => LayerSpec,
): ModelSpec {
  const { vocab_size: vocabulary, hidden_size: hidden, tie_word_embeddings: tied } = config;
  const { norm, names = { model: 'model', head: 'lm_head' } } = options;
  const under = names.model === '' ? '' : `${names.model}.`;
  const embedding = `${under}${options.embedding ?? 'embed_tokens'}`;
  const head = tied
    ? tiedHead(declare, { embedding, head: names.head }, vocabulary, hidden, options.headBias)
    : linear(declare, names.head, vocabulary, hidden, options.headBias);
  return {
    vocabulary,
    hidden,
    context: config.max_position_embeddings,
    embedding: { name: `${embedding}.weight`, scale: options.embeddingScale },
    layers: Array.from({ length: config.num_hidden_layers }, (_, l) => layerOf(`${under}layers.${l}`, l)),
    norm: norm(`${under}${options.lastNorm ?? 'norm'}`),
    head: softcapped(scaled(head, options.logitScale ?? 1), options.softcap),
  };
}

function softcapped(block: Block, limit?: number): Block {
  if (limit === undefined) return block;
  return (g, x) => g.scale(g.tanh(g.scale(block(g, x), 1 / limit)), limit);
}
