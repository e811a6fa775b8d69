import { ARCHITECTURES } from '../../src/models/gguf/index.js';
import { ggufName } from '../../src/models/gguf/names.js';
import { floatsOf, type Published, recurrentNumbers } from './converted-recurrent.js';
import { f32, type GgufOf, type GoldenConfig, list, type NumbersByName, u32 } from './gguf-of.js';
import { readTensors } from './model.js';
import { numbersFrom } from './numbers.js';

const GOLDEN = 'qwen4_exp';
const INNER = 'model.language_model.layers.';
/** The layer, counted from 0, whose n-grams are kept: llama.cpp has them in one. */
const NGRAMS = 1;
const DELTA_NET = {
  'ssm.conv_kernel': 'linear_conv_kernel_dim',
  'ssm.state_size': 'linear_key_head_dim',
  'ssm.group_count': 'linear_num_key_heads',
  'ssm.time_step_rank': 'linear_num_value_heads',
} as const;
const ZERO_CENTRED = /hc_norm\.weight$|ple\.norm_\w+\.weight$|indexer\.\w_layernorm\.weight$/;

const stored = () => readTensors(`test/golden/${GOLDEN}/model.safetensors`);

/**
 * Qwen3.8-Flash-Next as llama.cpp's converter writes it (conversion/qwen4exp.py), with the n-grams of one layer.
 * @param budget positions that the indexer may choose
 */
export const qwen4Exp = (budget: number): GgufOf => ({
  architecture: 'qwen4exp',
  golden: GOLDEN,
  change: convert,
  metadata(c) {
    const sections = c.rope_parameters.mrope_section as number[];
    const integers = (name: string) => {
      const { data } = stored().find((tensor) => tensor.name === `${INNER}${NGRAMS}.ple.ple_embedding.${name}`)!;
      return list('u64', [...new BigInt64Array(data.slice().buffer)]);
    };
    return {
      ...Object.fromEntries(Object.entries(DELTA_NET).map(([key, name]) => [key, u32(c[name])])),
      'ssm.inner_size': u32(c.linear_num_value_heads * c.linear_value_head_dim),
      full_attention_interval: u32(4),
      expert_shared_feed_forward_length: u32(c.shared_expert_intermediate_size),
      'attention.head_count_kv': u32(c.num_key_value_heads),
      'attention.key_length': u32(c.head_dim),
      'attention.value_length': u32(c.head_dim),
      'rope.dimension_count': u32(c.head_dim * c.rope_parameters.partial_rotary_factor),
      'rope.dimension_sections': list('u32', [...sections, 0]),
      'rope.freq_base': f32(c.rope_parameters.rope_theta),
      'hyper_connection.count': u32(c.hc_count),
      'hyper_connection.low_rank': u32(c.hc_lowrank),
      'attention.indexer.head_count': u32(c.indexer_n_heads),
      'attention.indexer.key_length': u32(c.indexer_head_dim),
      'attention.indexer.top_k': u32(budget),
      'attention.compress_ratios': list('u32', [0, 0, 0, c.indexer_compress_ratio]),
      'ple.layers': list('u32', [NGRAMS]),
      'ple.ngram_size': u32(c.ngram_size),
      'ple.heads_per_ngram': u32(c.heads_per_ngram),
      'ple.conv_kernel': u32(c.ple_conv_kernel_size),
      'ple.eos_token_id': u32(c.eos_token_id),
      'ple.layer_multipliers': integers('layer_multipliers'),
      'ple.head_offsets': integers('ngram_heads_offsets'),
      'ple.head_vocab_sizes': integers('ngram_heads_vocab_sizes'),
      embedding_length_per_layer_input: u32(c.ple_embed_dim / ((c.ngram_size - 1) * c.heads_per_ngram)),
    };
  },
});

function convert(tensors: NumbersByName, c: GoldenConfig): void {
  for (const name of [...tensors.keys()]) {
    const [, layer] = /layers\.(\d+)\.ple\./.exec(name) ?? [];
    const other = layer !== undefined && Number(layer) !== NGRAMS;
    if (other || /^model\.visual\.|ple_embedding\.\w+$/.test(name)) tensors.delete(name);
  }
  reorderHeads(tensors, c);
  for (const [name, { shape, values }] of tensors) {
    if (ZERO_CENTRED.test(name)) tensors.set(name, { shape, values: values.map((value) => value + 1) as Float32Array });
    if (/conv1d\.weight$/.test(name)) tensors.set(name, { shape: [shape[0]!, shape[2]!], values });
  }
  splitIndexers(tensors, c);
  joinShards(tensors);
}

/** What Qwen3.5 has too: heads of values in another order, decays, and norms of queries and keys. */
function reorderHeads(tensors: NumbersByName, c: GoldenConfig): void {
  const all = new Map(stored().map((tensor) => [tensor.name, tensor]));
  const published: Published = {
    rows(name) {
      const { shape, data } = all.get(name.replace('model.layers.', INNER))!;
      return { shape, values: new Uint16Array(data.slice().buffer) };
    },
    key: (name) =>
      name === 'ssm.inner_size'
        ? c.linear_num_value_heads * c.linear_value_head_dim
        : c[DELTA_NET[name as keyof typeof DELTA_NET]],
  };
  const architecture = ARCHITECTURES.find(({ name }) => name === 'qwen4exp')!;
  for (const [name, { shape }] of tensors) {
    if (!/linear_attn|self_attn\.[qk]_norm/.test(name)) continue;
    const found = recurrentNumbers('qwen35moe', { name: ggufName(name, architecture) }, published);
    if (found) tensors.set(name, { shape, values: found instanceof Uint16Array ? floatsOf(found) : found });
  }
}

/** Queries of the indexer in pairs of opposites, so that no block scores exactly 0; and its key apart. */
function splitIndexers(tensors: NumbersByName, c: GoldenConfig): void {
  const draw = numbersFrom(5);
  const [head, heads] = [c.indexer_head_dim * c.hidden_size, c.indexer_n_heads];
  for (const name of [...tensors.keys()]) {
    if (!name.endsWith('index_qk_proj.weight')) continue;
    const values = Float32Array.from({ length: (heads + 1) * head }, () => draw() - 0.5);
    for (let i = 0; i < heads * head; i++) if (Math.floor(i / head) % 2 === 1) values[i] = -values[i - head]!;
    tensors.delete(name);
    const part = (which: string, rows: number, of: Float32Array) =>
      tensors.set(name.replace('index_qk', `index_${which}`), { shape: [rows, c.hidden_size], values: of });
    part('q', heads * c.indexer_head_dim, values.slice(0, heads * head));
    part('k', c.indexer_head_dim, values.slice(heads * head));
  }
}

/** Rows of the table's shards behind each other. */
function joinShards(tensors: NumbersByName): void {
  const shards = [...tensors].filter(([name]) => name.includes('ngram_embedding.shard_'));
  const [first] = shards;
  const rows = shards.reduce((sum, [, { shape }]) => sum + shape[0]!, 0);
  const values = Float32Array.from(shards.flatMap(([, numbers]) => [...numbers.values]));
  for (const [name] of shards) tensors.delete(name);
  tensors.set(first![0], { shape: [rows, first![1].shape[1]!], values });
}
