import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { GgufValue } from '../../bench/gguf-writer.js';
import { prepareEnvironment } from '../../src/devices/environment.js';
import { loadEngine } from '../../src/engine/load.js';
import type { LoadOptions } from '../../src/options.js';
import { temporaryFolder } from '../support/folder.js';
import { f32, type GgufOf, type GoldenConfig, list, type NumbersByName, u32, writeGgufOf } from '../support/gguf-of.js';
import { qwen4Exp } from '../support/gguf-of-qwen4.js';
import { llamaLogits } from '../support/llama-logits.js';
import { numbersFrom } from '../support/numbers.js';
import { logitsOf, nmse } from './gguf-logits.js';

prepareEnvironment({ dtype: 'f32' });

/** Both compute in float32. */
const LARGEST_NMSE = 1e-7;
const VOCABULARY = 320;
const tokensOf = (count: number) => Array.from({ length: count }, (_, i) => 3 + ((i * i * 31 + i * 17) % 300));

const latent = (c: GoldenConfig) => ({
  leading_dense_block_count: u32(c.first_k_dense_replace),
  'attention.q_lora_rank': u32(c.q_lora_rank),
  'attention.kv_lora_rank': u32(c.kv_lora_rank),
  'attention.head_count_kv': u32(1),
  'attention.key_length': u32(c.kv_lora_rank + c.qk_rope_head_dim),
  'attention.value_length': u32(c.kv_lora_rank),
  'attention.key_length_mla': u32(c.qk_nope_head_dim + c.qk_rope_head_dim),
  'attention.value_length_mla': u32(c.v_head_dim),
  'rope.dimension_count': u32(c.qk_rope_head_dim),
  expert_gating_func: u32(2),
  expert_group_count: u32(c.n_group),
  expert_group_used_count: u32(c.topk_group),
});
/** llama.cpp rotates indexers' heads by matrices of at least so many rows. */
const INDEX_HEAD = 64;
const indexer = (c: GoldenConfig, kept: number) => ({
  'attention.indexer.head_count': u32(c.index_n_heads),
  'attention.indexer.key_length': u32(INDEX_HEAD),
  'attention.indexer.top_k': u32(kept),
});

/**
 * Indexers with heads twice as large, in pairs of opposite queries, so that no entry scores exactly 0: such ties each
 * program breaks in its own way.
 */
function withLargerIndexers(tensors: NumbersByName): void {
  const draw = numbersFrom(5);
  for (const [name, { shape }] of tensors) {
    if (!/\.indexer\./.test(name) || name.endsWith('weights_proj.weight')) continue;
    const larger = name.endsWith('.ape') ? [shape[0]!, 2 * shape[1]!] : [2 * shape[0]!, ...shape.slice(1)];
    const length = larger.reduce((a, b) => a * b);
    const values = Float32Array.from({ length }, () => draw() - (name.endsWith('norm.weight') ? 0 : 0.5));
    tensors.set(name, { shape: larger, values });
    if (!name.endsWith('indexer.wq_b.weight')) continue;
    const head = INDEX_HEAD * shape[1]!;
    for (let i = 0; i < length; i++) if (Math.floor(i / head) % 2 === 1) values[i] = -values[i - head]!;
  }
}

/** Blocks of 8 positions become blocks of 128, which alone llama.cpp has. */
function inPublishedBlocks(tensors: NumbersByName): void {
  for (const [name, { shape, values }] of tensors) {
    if (!name.endsWith('attn.compressor.ape') || shape[0] !== 8) continue;
    const repeated = Float32Array.from({ length: 16 * values.length }, (_, i) => values[i % values.length]! + i / 4096);
    tensors.set(name, { shape: [128, shape[1]!], values: repeated });
  }
  withLargerIndexers(tensors);
}

const deepseek4: GgufOf = {
  architecture: 'deepseek4',
  golden: 'deepseek_v4',
  change(tensors) {
    inPublishedBlocks(tensors);
    const table = tensors.get('layers.0.ffn.gate.tid2eid')!;
    for (let i = 0; i < table.values.length; i++) table.values[i] = (i * 5 + (i >> 3)) % 8;
  },
  metadata: (c) => ({
    'attention.head_count_kv': u32(1),
    'attention.key_length': u32(c.head_dim),
    'attention.value_length': u32(c.head_dim),
    'attention.q_lora_rank': u32(c.q_lora_rank),
    'attention.sliding_window': u32(c.sliding_window),
    'attention.output_group_count': u32(c.o_groups),
    'attention.output_lora_rank': u32(c.o_lora_rank),
    'attention.compress_ratios': list('u32', [128, 4, 128, 4]),
    'attention.compress_rope_freq_base': f32(c.compress_rope_theta),
    'rope.dimension_count': u32(c.qk_rope_head_dim),
    'rope.scaling.type': { kind: 'string', value: 'yarn' },
    'rope.scaling.factor': f32(4),
    'rope.scaling.original_context_length': u32(128),
    'rope.scaling.yarn_beta_fast': f32(32),
    'rope.scaling.yarn_beta_slow': f32(1),
    hash_layer_count: u32(1),
    'hyper_connection.count': u32(4),
    'hyper_connection.sinkhorn_iterations': u32(c.hc_sinkhorn_iters),
    'hyper_connection.epsilon': f32(c.hc_eps),
    swiglu_clamp_exp: list('f32', [10, 10, 10, 10]),
    swiglu_clamp_shexp: list('f32', [10, 10, 10, 10]),
    expert_gating_func: u32(4),
    ...indexer(c, 6),
  }),
};

/** Positions that the indexer of Qwen chooses, in blocks of 4. */
const CHOSEN = 16;
/**
 * llama.cpp attends to so many positions and 3, where the last block, which is not complete, has fewer than 3 also to a
 * part of one more block. In the golden only the last layer attends, so that other positions do not show it.
 */
const withWholeBlocks = (position: number) => position < CHOSEN + 3 || position % 4 === 2;

const MODELS: readonly [GgufOf, tokens: number, compared?: (position: number) => boolean][] = [
  [qwen4Exp(64), 60],
  [qwen4Exp(CHOSEN), 60, withWholeBlocks],
  [deepseek4, 300],
  [
    {
      architecture: 'deepseek32',
      golden: 'deepseek_v32',
      change: withLargerIndexers,
      metadata: (c) => ({ ...latent(c), ...indexer(c, 16) }),
    },
    60,
  ],
  [
    {
      architecture: 'glm-dsa',
      golden: 'glm_moe_dsa',
      change: withLargerIndexers,
      metadata: (c) => ({
        ...latent(c),
        ...indexer(c, 16),
        'attention.indexer.types': list(
          'bool',
          c.indexer_types.map((kind: string) => Number(kind === 'full')),
        ),
      }),
    },
    60,
  ],
  [
    {
      architecture: 'kimi-linear',
      golden: 'kimi_linear',
      metadata: (c) => ({
        ...latent({ ...c, first_k_dense_replace: 1, n_group: 1, topk_group: 1, q_lora_rank: 0 }),
        'attention.head_count_kv': list(
          'u32',
          c.layer_types.map((kind: string) => Number(kind === 'full_attention')),
        ),
        'ssm.conv_kernel': u32(c.linear_conv_kernel_dim),
        'kda.head_dim': u32(c.linear_head_dim),
      }),
    },
    60,
  ],
];

/** Whole, in parts, and with experts in other lanes. */
const SETTINGS: readonly LoadOptions[] = [
  { ctx: 512 },
  { ctx: 512, chunk: 7 },
  { ctx: 512, accelerator: 'host', expertsResident: 0.5, policy: 'lru' },
];

describe('a GGUF file gives the logits of llama.cpp', () => {
  it.each(MODELS.map((each) => [each[0].architecture, ...each] as const))(
    '%s',
    (_, model, count, compared = () => true) => {
      const file = join(temporaryFolder(), 'model.gguf');
      writeGgufOf(model, file);
      const tokens = tokensOf(count);
      const found = SETTINGS.map((setting) => logitsOf(file, { dtype: 'f32', ...setting }, tokens));
      const expected = llamaLogits(file, tokens, VOCABULARY);
      const those = (logits: Float32Array) => logits.filter((_, i) => compared(Math.floor(i / VOCABULARY)));
      for (const each of found) expect(nmse(those(each), those(expected))).toBeLessThan(LARGEST_NMSE);
    },
  );
});

describe('a file of Qwen3.8-Flash-Next is refused by its key', () => {
  const refusals: readonly [key: string, value: GgufValue, message: RegExp][] = [
    ['ple.layers', list('u32', [1, 2]), /qwen4exp\.ple\.layers names several layers/],
    ['ple.head_offsets', list('u64', [0, 211, 434]), /ngram_heads_offsets has 3 numbers, not 4/],
    ['ple.layer_multipliers', list('f32', [1, 3, 5]), /"qwen4exp\.ple\.layer_multipliers" is not a list of whole/],
    ['attention.compress_ratios', list('u32', [0, 0, 0, 0]), /compress_ratios leaves layers of attention without/],
    ['attention.compress_ratios', list('u32', [0, 0, 0, 6]), /indexer_compress_ratio is 6, not a power of two/],
    ['attention.indexer.top_k', u32(3), /indexer_budget is 3, less than a block of 4/],
  ];

  it.each(refusals)('%s', (key, value, message) => {
    const file = join(temporaryFolder(), 'model.gguf');
    const whole = qwen4Exp(CHOSEN);
    writeGgufOf({ ...whole, metadata: (c) => ({ ...whole.metadata(c), [key]: value }) }, file);
    expect(() => loadEngine(file, { accelerator: 'none', profile: false })).toThrow(message);
  });
});
