import type { JsonObject } from '../../weights/config.js';
import type { GgufKeys } from './keys.js';

interface OwnSizes {
  heads?: number;
  kvHeads?: number;
  headSize?: number;
  /** Of dense feed-forwards. */
  width?: number;
}

/**
 * The keys of config.json that most decoder-only models have, by a GGUF file's metadata.
 * @param own what an architecture says in its own way, since layers differ
 */
export function decoderConfig(keys: GgufKeys, own: OwnSizes = {}): JsonObject {
  const heads = own.heads ?? keys.required('attention.head_count');
  const hidden = keys.required('embedding_length');
  const headSize = own.headSize ?? keys.integer('attention.key_length') ?? hidden / heads;
  return {
    vocab_size: keys.shape('token_embd.weight')[0],
    hidden_size: hidden,
    num_hidden_layers: keys.layers,
    num_attention_heads: heads,
    num_key_value_heads: own.kvHeads ?? keys.integer('attention.head_count_kv') ?? heads,
    head_dim: headSize,
    rms_norm_eps: keys.number('attention.layer_norm_rms_epsilon'),
    tie_word_embeddings: !keys.has('output.weight'),
    max_position_embeddings: keys.required('context_length'),
    intermediate_size: own.width ?? keys.integer('feed_forward_length'),
    num_experts_per_tok: keys.integer('expert_used_count'),
    eos_token_id: endTokens(keys),
    ...ropeConfig(keys, headSize),
  };
}

/** Ids after which an answer ends: of the text, and of a turn or a message. */
function endTokens({ metadata }: GgufKeys): number[] {
  const ids = ['eos', 'eot', 'eom'].map((name) => metadata.integer(`tokenizer.ggml.${name}_token_id`));
  return [...new Set(ids.filter((id) => id !== undefined))];
}

/** Base and scaling of rotary positions. @param headSize dimensions of which `rope.dimension_count` are rotated */
export function ropeConfig(keys: GgufKeys, headSize: number): JsonObject {
  const rotated = keys.integer('rope.dimension_count') ?? headSize;
  return {
    rope_theta: keys.number('rope.freq_base') ?? 10_000,
    partial_rotary_factor: rotated === headSize ? undefined : rotated / headSize,
    rope_scaling: ropeScaling(keys),
  };
}

/** `rope_scaling` of config.json; divisors of the frequencies, as Llama 3 has them, are longrope's of any length. @throws FiddlerError `unsupported`: a type that is not known */
function ropeScaling(keys: GgufKeys): JsonObject | undefined {
  const factor = keys.number('rope.scaling.factor');
  const type = keys.string('rope.scaling.type') ?? 'linear';
  const original = keys.integer('rope.scaling.original_context_length');
  const divisors = keys.floats('rope_freqs.weight');
  if (divisors?.some((divisor) => divisor !== 1)) {
    if (factor !== undefined && factor !== 1) keys.refuse('rope.scaling.factor', 'is there beside rope_freqs.weight');
    return {
      rope_type: 'longrope',
      short_factor: divisors,
      long_factor: divisors,
      attention_factor: 1,
      original_max_position_embeddings: keys.required('context_length'),
    };
  }
  switch (type) {
    case 'none':
    case 'longrope': // its factors are tensors: a family's own file reads them
      return undefined;
    case 'linear':
      return factor === undefined || factor === 1 ? undefined : { rope_type: 'linear', factor };
    case 'yarn':
      if (factor === undefined) return keys.refuse('rope.scaling.factor', 'is missing, which yarn needs');
      return {
        rope_type: 'yarn',
        factor,
        original_max_position_embeddings: original,
        beta_fast: keys.number('rope.scaling.yarn_beta_fast'),
        beta_slow: keys.number('rope.scaling.yarn_beta_slow'),
        attention_factor: keys.number('rope.scaling.yarn_attn_factor'),
      };
    default:
      return keys.refuse('rope.scaling.type', `is ${type}, but only none, linear, yarn and longrope are supported`);
  }
}
