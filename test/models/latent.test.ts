import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { familyOf } from '../../src/models/index.js';
import { Declarations } from '../../src/models/parameters.js';
import type { JsonObject } from '../../src/weights/config.js';
import { fiddlerError } from '../support/errors.js';

const golden = (name: string): JsonObject => JSON.parse(readFileSync(`test/golden/${name}/config.json`, 'utf8'));

function describeModel(config: JsonObject) {
  const declare = new Declarations();
  return { spec: familyOf(config).describe(config, declare), declare };
}

/** DeepSeek-V2's config as published, where it matters here. */
const V2: JsonObject = {
  model_type: 'deepseek_v2',
  vocab_size: 102400,
  hidden_size: 5120,
  intermediate_size: 12288,
  moe_intermediate_size: 1536,
  num_hidden_layers: 60,
  num_attention_heads: 128,
  num_key_value_heads: 128,
  n_shared_experts: 2,
  n_routed_experts: 160,
  ep_size: 1,
  routed_scaling_factor: 16.0,
  kv_lora_rank: 512,
  q_lora_rank: 1536,
  qk_rope_head_dim: 64,
  v_head_dim: 128,
  qk_nope_head_dim: 128,
  topk_method: 'group_limited_greedy',
  n_group: 8,
  topk_group: 3,
  num_experts_per_tok: 6,
  moe_layer_freq: 1,
  first_k_dense_replace: 1,
  norm_topk_prob: false,
  scoring_func: 'softmax',
  hidden_act: 'silu',
  max_position_embeddings: 163840,
  rms_norm_eps: 1e-6,
  rope_theta: 10000,
  rope_scaling: {
    beta_fast: 32,
    beta_slow: 1,
    factor: 40,
    mscale: 1,
    mscale_all_dim: 1,
    original_max_position_embeddings: 4096,
    type: 'yarn',
  },
  attention_bias: false,
  tie_word_embeddings: false,
};

describe('multi-head latent attention', () => {
  it('caches a latent and a rotated key for each token and layer, not the heads', () => {
    const { declare } = describeModel(V2);
    expect(declare.caches.map((cache) => cache.width)).toEqual(new Array(60).fill(512 + 64));
  });

  it('holds what expands a latent once: keys transposed, values as stored', () => {
    const { declare } = describeModel(V2);
    const parts = declare.parameters.filter((p) => p.name === 'model.layers.7.self_attn.kv_b_proj.weight');
    const alone = (which: string) => `model.layers.7.self_attn.${which}_b_proj.weight`;
    expect(parts.map(({ shape, groups }) => ({ shape, ...groups }))).toEqual([
      { shape: [128 * 256, 512], count: 128, from: 0, rows: 128, transposed: true, alone: alone('k') },
      { shape: [128 * 256, 512], count: 128, from: 128, rows: 128, transposed: false, alone: alone('v') },
    ]);
  });
});

describe("DeepSeek-V2's router", () => {
  it('chooses from the groups with the best experts and multiplies their probabilities', () => {
    const { router } = describeModel(V2).spec.layers[1]!.moe!;
    const logits = Float32Array.from({ length: 160 }, (_, e) => Math.sin(e * 12.9898) * 3);
    const ids = new Int32Array(6);
    const weights = new Float32Array(6);
    router.choose(logits, ids, weights);
    const groupBest = Array.from({ length: 8 }, (_, g) => Math.max(...logits.subarray(g * 20, (g + 1) * 20)));
    const kept = groupBest
      .map((_, g) => g)
      .sort((a, b) => groupBest[b]! - groupBest[a]!)
      .slice(0, 3);
    const candidates = [...logits.keys()].filter((e) => kept.includes(Math.floor(e / 20)));
    expect([...ids]).toEqual(candidates.sort((a, b) => logits[b]! - logits[a]!).slice(0, 6));
    const total = logits.reduce((sum, x) => sum + Math.exp(x), 0);
    const expected = [...ids].map((e) => (16 * Math.exp(logits[e]!)) / total);
    expect([...weights].map((w, i) => Math.abs(w - expected[i]!) < 1e-5)).not.toContain(false);
  });

  it('divides by the sum instead of scaling where norm_topk_prob says so', () => {
    const { router } = describeModel({ ...V2, norm_topk_prob: true }).spec.layers[1]!.moe!;
    const weights = new Float32Array(6);
    router.choose(
      Float32Array.from({ length: 160 }, (_, e) => (e % 20) / 4),
      new Int32Array(6),
      weights,
    );
    expect(weights.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 5);
  });
});

describe('a config that would be run wrongly', () => {
  const cases: [model: string, key: string, value: unknown][] = [
    ['deepseek_v2', 'topk_method', 'noaux_tc'],
    ['deepseek_v2', 'scoring_func', 'sigmoid'],
    ['deepseek_v2', 'mlp_bias', true],
    ['deepseek_v2', 'hidden_act', 'gelu'],
    ['deepseek_v2', 'num_key_value_heads', 2],
    ['deepseek_v3', 'topk_method', 'greedy'],
    ['deepseek_v3', 'scoring_func', 'softmax'],
    ['deepseek_v3', 'n_group', 3],
    ['deepseek_v3', 'topk_group', 5],
    ['deepseek_v3', 'moe_layer_freq', 2],
    ['deepseek_v3', 'num_key_value_heads', 2],
    ['gpt_oss', 'layer_types', ['sliding_attention', 'chunked_attention']],
    ['gpt_oss', 'layer_types', ['full_attention']],
    ['gpt_oss', 'swiglu_limit', 5],
    ['gpt_oss', 'num_key_value_heads', 3],
    ['gpt_oss', 'hidden_act', 'gelu'],
    ['gpt_oss-mxfp4', 'intermediate_size', 80],
    ['gpt_oss-mxfp4', 'quantization_config', { quant_method: 'fp8' }],
  ];
  it.each(cases)('is refused: %s with %s %j', (model, key, value) => {
    const message = fiddlerError('unsupported', () => describeModel({ ...golden(model), [key]: value }));
    expect(message).toContain(`config.json: ${key}`);
  });

  it.each(['deepseek_v2', 'deepseek_v3', 'gpt_oss'])('is refused: %s with an unknown type of RoPE', (model) => {
    const rope_parameters = { rope_type: 'dynamic', rope_theta: 1e4, factor: 2 };
    const message = fiddlerError('unsupported', () => describeModel({ ...golden(model), rope_parameters }));
    expect(message).toContain('rope_parameters.rope_type');
  });
});
