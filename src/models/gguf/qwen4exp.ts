import type { JsonObject } from '../../weights/config.js';
import type { GgufArchitecture } from './architecture.js';
import type { GgufKeys } from './keys.js';
import { deltaNetConfig } from './qwen3next.js';
import { qwen35moe } from './qwen35moe.js';
import { lessOne } from './undo.js';

const CONNECTIONS = { attn_hyper_connection: 'hc_attn', mlp_hyper_connection: 'hc_ffn' };
const MIXER = 'model.hyper_connection_mixer';
const MIXING = { hc_norm: 'norm', input_mix_weight_down: 'down', input_mix_weight_up: 'up' };
const NGRAM_NORMS = ['norm_key', 'norm_query', 'norm_conv'];
const INDEXER_NORMS = {
  'self_attn.indexer.q_layernorm': 'indexer.q_norm',
  'self_attn.indexer.k_layernorm': 'indexer.k_norm',
};

/** Names of a connection's parts. */
const connection = (ours: string, theirs: string) =>
  Object.fromEntries(Object.entries(MIXING).map(([part, name]) => [`${ours}.${part}`, `${theirs}_${name}`]));

/** Qwen3.8-Flash-Next. The hash of its n-grams is in the metadata, and one layer at most has them. */
export const qwen4exp: GgufArchitecture = {
  name: 'qwen4exp',
  names: {
    ...qwen35moe.names,
    ...connection(MIXER, 'output_hc'),
    ...Object.fromEntries(
      Object.entries(CONNECTIONS).flatMap(([ours, theirs]) => [
        ...Object.entries(connection(ours, theirs)),
        [`${ours}.block_inject_weight`, `${theirs}_inject`],
      ]),
    ),
    ...INDEXER_NORMS,
    'self_attn.indexer.index_q_proj': 'indexer.q_proj',
    'self_attn.indexer.index_k_proj': 'indexer.k_proj',
    'ple.key_proj': 'ple_key',
    'ple.value_proj': 'ple_value',
    'ple.conv1d': 'ple_conv1d',
    ...Object.fromEntries(NGRAM_NORMS.map((norm) => [`ple.${norm}`, `ple_${norm}`])),
  },
  once: { 'ple.ple_embedding.ngram_embedding.shard_0': 'per_layer_token_embd' },
  undo: {
    ...qwen35moe.undo,
    ...Object.fromEntries(
      [
        ...[MIXER, ...Object.keys(CONNECTIONS)].map((each) => `${each}.hc_norm`),
        ...NGRAM_NORMS.map((norm) => `ple.${norm}`),
        ...Object.keys(INDEXER_NORMS),
      ].map((norm) => [norm, lessOne]),
    ),
  },
  config(keys) {
    const { tie_word_embeddings, eos_token_id, ...text } = deltaNetConfig(keys);
    const kinds = text.layer_types as string[];
    return {
      model_type: 'qwen4_exp',
      tie_word_embeddings,
      eos_token_id,
      text_config: {
        ...text,
        linear_value_heads_tiled: true,
        output_gate_type: 'sigmoid',
        hc_count: keys.required('hyper_connection.count'),
        hc_lowrank: keys.required('hyper_connection.low_rank'),
        indexer_n_heads: keys.required('attention.indexer.head_count'),
        indexer_head_dim: keys.required('attention.indexer.key_length'),
        indexer_budget: keys.required('attention.indexer.top_k'),
        indexer_compress_ratio: blockOf(keys, kinds),
        ...ngramConfig(keys),
      },
    };
  },
};

/** Positions of a block, which all layers of attention have in common. */
function blockOf(keys: GgufKeys, kinds: readonly string[]): number {
  const name = 'attention.compress_ratios';
  const ratios = keys.perLayer(name) ?? [];
  const sizes = new Set(kinds.flatMap((kind, l) => (kind === 'full_attention' ? [ratios[l] ?? 0] : [])));
  if (sizes.size > 1) keys.refuse(name, `differs between layers of attention: ${[...sizes].join(', ')}`);
  const [size = 1] = sizes;
  return size > 0 ? size : keys.refuse(name, 'leaves layers of attention without blocks');
}

/** What config.json and tensors of integers say of n-grams. */
function ngramConfig(keys: GgufKeys): JsonObject {
  const [layer, ...others] = keys.integers('ple.layers') ?? [];
  if (layer === undefined) return {};
  if (others.length > 0) keys.refuse('ple.layers', 'names several layers, but a file has the hash of one');
  const [longest, heads] = [keys.required('ple.ngram_size'), keys.required('ple.heads_per_ngram')];
  const hash = (name: string) => keys.bigIntegers(name)?.map(String) ?? keys.refuse(name, 'is missing');
  return {
    ple_layer_ids: [layer + 1],
    ple_embed_dim: keys.required('embedding_length_per_layer_input') * (longest - 1) * heads,
    ple_conv_kernel_size: keys.required('ple.conv_kernel'),
    ngram_size: longest,
    heads_per_ngram: heads,
    split_ngram_parts: 1,
    eos_token_id: keys.required('ple.eos_token_id'),
    ngram_hash: {
      layer_multipliers: hash('ple.layer_multipliers'),
      ngram_heads_offsets: hash('ple.head_offsets'),
      ngram_heads_vocab_sizes: hash('ple.head_vocab_sizes'),
    },
  };
}
