import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readGolden } from '../../bench/golden-data.js';
import { loadEngine } from '../../src/engine/load.js';
import { temporaryFolder } from '../support/folder.js';
import { publishedV4Name } from '../support/gguf-of.js';
import { readTensors } from '../support/model.js';
import { type TensorToWrite, writeSafetensors } from '../support/safetensors.js';

type Config = Record<string, unknown>;
type Change = (config: Config, rope: Config) => Config;

/** `rope_theta` and `rope_scaling` in place of what newer transformers write. */
const older: Change = (_, { rope_theta, rope_type, partial_rotary_factor, ...scaling }) => ({
  rope_parameters: undefined,
  rope_theta,
  rope_scaling: Object.keys(scaling).length > 0 ? { type: rope_type, ...scaling } : null,
  ...(partial_rotary_factor === undefined ? {} : { partial_rotary_factor }),
});

const leading: Config = { mlp_layer_types: undefined, first_k_dense_replace: 1 };
const lossFree: Config = { scoring_func: 'sigmoid', topk_method: 'noaux_tc', moe_layer_freq: 1 };
const bits = (list: unknown, one: string) => (list as string[]).map((kind) => Number(kind === one));

/** What config.json of the families of 2025 and 2026 says on the hub, where the golden models have newer keys. */
const CHANGES: Record<string, Change> = {
  afmoe: (c, rope) => ({
    ...older(c, rope),
    score_func: 'sigmoid',
    route_norm: true,
    num_expert_groups: 1,
    n_group: 1,
  }),
  cohere2_moe: (c, rope) => ({
    ...older(c, rope),
    ...{ use_qk_norm: false, use_parallel_block: true, use_gated_activation: true, rotary_pct: 1 },
  }),
  deepseek_v4: () => ({
    ...{ rope_parameters: undefined, rope_theta: 1e4, compress_rope_theta: 1.6e5, partial_rotary_factor: undefined },
    ...{ mlp_layer_types: undefined, num_hash_layers: 1, topk_method: 'noaux_tc', num_nextn_predict_layers: 1 },
  }),
  dots1: (c, rope) => ({ ...older(c, rope), ...lossFree, layer_types: undefined }),
  exaone_moe: (c, rope) => ({
    ...older(c, rope),
    ...{ mlp_layer_types: undefined, first_k_dense_replace: undefined, first_last_k_dense_replace: 1 },
    ...{ is_moe_layer: [false, true, true], layer_types: undefined, sliding_window_pattern: 'LLG' },
  }),
  gemma4: () => ({ per_layer_config: undefined, global_head_dim: 32, num_global_key_value_heads: 1 }),
  glm4_moe_lite: (c, rope) => ({ ...older(c, rope), ...leading, ...lossFree, partial_rotary_factor: 1 }),
  granitemoehybrid: (c, rope) => ({
    ...older(c, rope),
    layer_types: (c.layer_types as string[]).map((kind) => (kind === 'full_attention' ? 'attention' : 'mamba')),
    ...{ position_embedding_type: 'nope', normalization_function: 'rmsnorm', time_step_limit: [0, 'Infinity'] },
  }),
  hunyuan_v1_moe: (c) => ({
    ...{ rope_parameters: undefined, rope_theta: 1e4, head_dim: undefined, attention_head_dim: 16 },
    rope_scaling: { type: 'dynamic', alpha: 1, factor: 1, beta_fast: 32, beta_slow: 1, mscale: 1, mscale_all_dim: 1 },
    ...{ moe_topk: [2, 2], num_shared_expert: [1, 1], moe_intermediate_size: [32, 32], use_qk_norm: true },
    ...{ use_mixed_mlp_moe: true, use_cla: false, use_mla: false, norm_type: 'rms', moe_layer_num_skipped: 0 },
    ...{ use_rotary_pos_emb: true, position_embedding_xdrope: false, moe_drop_tokens: false, mlp_bias: false },
    num_hidden_layers: c.num_hidden_layers,
  }),
  hy_v3: (c, rope) => ({
    ...older(c, rope),
    ...leading,
    ...{ expert_hidden_dim: 32, route_norm: true, qk_norm: true, moe_router_use_sigmoid: true },
    moe_router_enable_expert_bias: true,
  }),
  laguna: () => ({ gating: 'per-head', mlp_only_layers: [0], decoder_sparse_step: 1, norm_topk_prob: true }),
  lfm2_moe: (c, rope) => ({ ...older(c, rope), use_pos_enc: true }),
  mimo_v2_flash: (c) => ({
    ...{ rope_parameters: undefined, rope_theta: 5e6, swa_rope_theta: 1e4, partial_rotary_factor: 0.334 },
    ...{
      rms_norm_eps: undefined,
      layernorm_epsilon: c.rms_norm_eps,
      routed_scaling_factor: null,
      n_shared_experts: null,
    },
    hybrid_layer_pattern: bits(c.layer_types, 'sliding_attention'),
    moe_layer_freq: bits(c.mlp_layer_types, 'sparse'),
    ...{ layer_types: undefined, mlp_layer_types: undefined, sliding_window_size: 16, scoring_func: 'sigmoid' },
    ...{ add_swa_attention_sink_bias: true, add_full_attention_sink_bias: false, topk_method: 'noaux_tc' },
  }),
  minimax_m2: (_, { rope_theta }) => ({
    ...{ rope_parameters: undefined, rope_theta, rotary_dim: 16, use_routing_bias: true, use_qk_norm: true },
    ...{ qk_norm_type: 'per_layer', shared_intermediate_size: 0, attn_type_list: [1, 1, 1], use_mtp: true },
  }),
  nemotron_h: () => ({
    layers_block_type: undefined,
    ...{ hybrid_override_pattern: 'ME*E', num_hidden_layers: 4, time_step_limit: [0, 'Infinity'] },
    ...{ moe_latent_size: undefined, rope_theta: 1e4, partial_rotary_factor: 1, norm_eps: 1e-5 },
  }),
  qwen3_5_moe: () => ({ attn_output_gate: true, full_attention_interval: 4, mtp_num_hidden_layers: 1 }),
  qwen3_next: (c, rope) => ({ ...older(c, rope), layer_types: undefined, full_attention_interval: 4 }),
  qwen3_vl_moe: (_, { rope_theta, mrope_section, mrope_interleaved, rope_type }) => ({
    ...{ rope_parameters: undefined, rope_theta, num_local_experts: undefined, num_experts: 8 },
    rope_scaling: { mrope_section, mrope_interleaved, rope_type },
  }),
  solar_open: (c, rope) => ({ ...older(c, rope), first_k_dense_replace: 0, use_qk_norm: false }),
  'deepseek_v3-yarn': (c, rope) => ({ ...older(c, rope), ...lossFree, model_type: 'kimi_k2' }),
};

/** Models whose published checkpoints hold more than text: their text has the prefix of its own. */
const WITHIN: Record<string, { config: Config; to: string }> = {
  mistral4: { config: { model_type: 'mistral3' }, to: 'language_model.' },
  'deepseek_v3-yarn': { config: { model_type: 'kimi_k25' }, to: 'language_model.' },
};

/** What tensors are called on the hub where the golden models have other names. */
const NAMES: Record<string, (tensor: string) => string> = { deepseek_v4: publishedV4Name };

/** Positions before the first where an indexer's choice ties and that shows (test/golden/README.md). */
const UNTIED: Record<string, number> = { deepseek_v4: 42 };

/** What checkpoints hold beside the text. */
const BESIDE: readonly TensorToWrite[] = ['vision_tower.patch.weight', 'vision_tower.norm.weight', 'mtp.fc.weight'].map(
  (name) => ({ name, dtype: 'BF16', shape: [4], data: new Uint8Array(8) }),
);

/**
 * Largest difference from the golden model's logits behind its prompt, over their deviation or 1; and what was said when
 * it was loaded.
 */
function compare(name: string, text: string, rename = (tensor: string) => tensor) {
  const dir = temporaryFolder();
  writeFileSync(join(dir, 'config.json'), text);
  const tensors = readTensors(join('test/golden', name, 'model.safetensors'));
  const renamed = tensors.map((tensor) => ({ ...tensor, name: rename(tensor.name) }));
  writeSafetensors(join(dir, 'model.safetensors'), [...renamed, ...BESIDE]);
  const { cases, deviation } = readGolden('test/golden', 'models', name);
  const { logits, ...given } = cases[0]!;
  const tokens = given.tokens.slice(0, UNTIED[name]);
  const warnings: string[] = [];
  const onWarning = (line: string) => warnings.push(line);
  const options = { accelerator: 'none', dtype: 'f32', ctx: 128, threads: 1, profile: false, onWarning } as const;
  const session = loadEngine(dir, options);
  try {
    const found = session.step(tokens, 0);
    const expected = logits.subarray((tokens.length - 1) * found.length, tokens.length * found.length);
    const largest = Math.max(...found.map((value, i) => Math.abs(value - expected[i]!)));
    return { difference: largest / Math.max(1, deviation), warnings };
  } finally {
    session.close();
  }
}

/** As Python writes it: `Infinity` is no string there. */
function written(config: Config): string {
  return JSON.stringify(config).replaceAll('"Infinity"', 'Infinity');
}

function goldenConfig(name: string): Config {
  return JSON.parse(readFileSync(join('test/golden', name, 'config.json'), 'utf8'));
}

function expectSame({ difference, warnings }: ReturnType<typeof compare>): void {
  expect(difference).toBeLessThan(1e-3);
  const lines = warnings.filter((line) => line.startsWith('left out: '));
  expect(lines).toHaveLength(1);
  for (const part of ['vision_tower.patch (1 tensor)', 'mtp.fc (1 tensor)']) expect(lines[0]).toContain(part);
}

describe('a config as it is on the hub', () => {
  it.each(Object.entries(CHANGES))('describes the same model, and says what else is there: %s', (name, change) => {
    const golden = goldenConfig(name);
    const { text_config: text } = golden as { text_config?: Config };
    const own = text ?? golden;
    const changed = { ...own, ...change(own, (own.rope_parameters ?? {}) as Config) };
    const config = text ? { ...golden, text_config: changed } : changed;
    expectSame(compare(name, written(config), NAMES[name]));
  });

  it.each(Object.entries(WITHIN))('describes the text of one that sees pictures: %s', (name, { config, to }) => {
    const { architectures: _, ...text } = goldenConfig(name);
    const whole = { ...config, text_config: text, vision_config: { model_type: 'pixtral' } };
    expectSame(compare(name, written(whole), (tensor) => `${to}${tensor}`));
    const newer = (tensor: string) => tensor.replace(/^model\./, 'model.language_model.');
    if (name === 'mistral4') expectSame(compare(name, written(whole), newer));
  });
});
