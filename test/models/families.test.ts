import { describe, expect, it } from 'vitest';
import { familyOf } from '../../src/models/index.js';
import type { JsonObject } from '../../src/weights/config.js';
import { fiddlerError } from '../support/errors.js';
import { describeModel, golden } from './described.js';

const HEADS = 'num_key_value_heads';
const UNKNOWN_ROPE = { rope_type: 'ntk', rope_theta: 1e4 };

describe('a config that would be run wrongly', () => {
  const everywhere: [key: string, value: unknown][] = [
    ['hidden_act', 'gelu'],
    [HEADS, 3],
    ['rope_parameters', UNKNOWN_ROPE],
    ['rope_scaling', { type: 'dynamic', factor: 2 }],
    ['hidden_size', 66],
  ];
  const own: [model: string, key: string, value: unknown][] = [
    ['mixtral', 'num_experts_per_tok', 9],
    ['qwen2_moe', 'use_sliding_window', true],
    ['qwen2_moe', 'layer_types', ['full_attention', 'sliding_attention']],
    ['qwen2_moe', 'num_experts_per_tok', 9],
    ['qwen3_moe', 'use_sliding_window', true],
    ['qwen3_moe', 'layer_types', ['linear_attention', 'full_attention']],
    ['phimoe', 'num_experts_per_tok', 4],
    ['granitemoe', 'position_embedding_type', 'nope'],
    ['glm4_moe', 'n_group', 3],
    ['glm4_moe', 'topk_group', 2],
    ['glm4_moe', 'scoring_func', 'softmax'],
    ['ernie4_5_moe', 'use_bias', true],
    ['ernie4_5_moe', 'moe_gate_act', 'sigmoid'],
    ['deepseek_moe', 'scoring_func', 'sigmoid'],
    ['openmoe', 'router_topk', 1],
    ['openmoe', 'router_drop_tks', false],
    ['openmoe', 'mlp_gated', false],
    ['openmoe', 'attention_bias', true],
    ['openmoe', 'rope_theta', 5e5],
    ['openmoe', 'rope_scaling', { type: 'linear', factor: 2 }],
    ['glm4_moe_lite', 'topk_method', 'greedy'],
    ['glm4_moe_lite', 'mlp_layer_types', ['dense']],
    ['minimax_m2', 'qk_norm_type', 'per_head'],
    ['minimax_m2', 'attn_type_list', [1, 0]],
    ['dots1', 'layer_types', ['full_attention']],
    ['dots1', 'moe_layer_freq', 2],
    ['exaone_moe', 'sliding_window', null],
    ['hunyuan_v1_moe', 'moe_topk', [2, 3]],
    ['hunyuan_v1_moe', 'use_cla', true],
    ['hy_v3', 'mlp_bias', true],
    ['hy_v3', 'attention_bias', true],
    ['laguna', 'num_attention_heads_per_layer', [4, 8]],
    ['laguna', 'moe_router_logit_softcapping', 30],
    ['laguna', 'gating', 'per-layer'],
    ['mimo_v2_flash', 'hybrid_layer_pattern', [0, 1]],
    ['mimo_v2_flash', 'add_full_attention_sink_bias', true],
    ['afmoe', 'score_func', 'softmax'],
    ['afmoe', 'route_norm', false],
    ['cohere2_moe', 'expert_selection_fn', 'topk'],
    ['cohere2_moe', 'layer_types', ['full_attention']],
    ['gemma4', 'text_config', null],
    ['mistral4', 'n_group', 3],
    ['qwen3_vl_moe', 'text_config', null],
    ['qwen3_5_moe', 'text_config', null],
    ['deepseek_v32', 'q_lora_rank', null],
    ['deepseek_v32', 'index_head_dim', 8],
    ['deepseek_v4', 'layer_types', ['sliding_attention']],
    ['deepseek_v4', 'layer_types', undefined],
    ['deepseek_v4', 'compress_rates', { compressed_sparse_attention: 4, heavily_compressed_attention: 12 }],
    ['deepseek_v4', 'mlp_layer_types', ['moe']],
    ['deepseek_v4', 'mlp_layer_types', undefined],
    ['deepseek_v4', 'hc_mult', 2],
    ['deepseek_v4', 'swiglu_limit', 7],
    ['deepseek_v4', 'scoring_func', 'sigmoid'],
    ['deepseek_v4', 'norm_topk_prob', false],
    ['deepseek_v4', 'n_shared_experts', 2],
    ['deepseek_v4', 'topk_method', 'greedy'],
    ['deepseek_v4', 'o_groups', 3],
    ['deepseek_v4', 'attention_bias', true],
    ['deepseek_v4', 'index_head_dim', 8],
    ['deepseek_v4', 'qk_rope_head_dim', 64],
    ['deepseek_v4', 'num_experts_per_tok', 9],
    ['deepseek_v4', 'tie_word_embeddings', true],
    ['glm_moe_dsa', 'indexer_types', ['full']],
    ['glm_moe_dsa', 'indexer_types', ['shared', 'full', 'full']],
    ['kimi_linear', 'layer_types', ['linear_attention']],
    ['kimi_linear', 'linear_head_dim', 256],
    ['kimi_linear', 'linear_conv_kernel_dim', 17],
    ['kimi_linear', 'topk_group', 2],
    ['qwen4_exp', 'text_config', null],
    ['lfm2_moe', 'layer_types', ['conv']],
    ['lfm2_moe', 'conv_bias', true],
    ['lfm2_moe', 'use_expert_bias', false],
    ['qwen3_next', 'layer_types', ['linear_attention']],
    ['qwen3_next', 'layer_types', ['linear_attention', 'full_attention', 'conv', 'conv']],
    ['qwen3_next', 'linear_num_value_heads', 3],
    ['qwen3_next', 'linear_key_head_dim', 256],
    ['granitemoehybrid', 'layer_types', ['mamba']],
    ['granitemoehybrid', 'position_embedding_type', 'alibi'],
    ['granitemoehybrid', 'mamba_n_heads', 16],
    ['granitemoehybrid', 'mamba_n_groups', 3],
    ['granitemoehybrid', 'mamba_d_state', 512],
    ['granitemoehybrid', 'time_step_limit', [0, 0.1]],
    ['granitemoehybrid', 'time_step_limit', [0.001, { __float__: 'Infinity' }]],
    ['hunyuan_v1_moe', 'use_mla', true],
    ['hunyuan_v1_moe', 'use_rotary_pos_emb', false],
    ['hunyuan_v1_moe', 'position_embedding_xdrope', true],
    ['hunyuan_v1_moe', 'moe_layer_num_skipped', 1],
    ['hunyuan_v1_moe', 'moe_drop_tokens', true],
    ['hunyuan_v1_moe', 'group_limited_greedy', true],
    ['hunyuan_v1_moe', 'norm_type', 'layer'],
    ['hunyuan_v1_moe', 'mlp_bias', true],
    ['hy_v3', 'expert_hidden_dim', 33],
    ['hy_v3', 'moe_router_enable_expert_bias', false],
    ['hy_v3', 'moe_router_use_sigmoid', false],
    ['hy_v3', 'qk_norm', false],
    ['hy_v3', 'route_norm', false],
    ['minimax_m2', 'sliding_window', 128],
    ['minimax_m2', 'shared_intermediate_size', 64],
    ['minimax_m2', 'use_routing_bias', false],
    ['laguna', 'norm_topk_prob', false],
    ['laguna', 'decoder_sparse_step', 2],
    ['laguna', 'qkv_bias', true],
    ['laguna', 'moe_apply_router_weight_on_input', true],
    ['afmoe', 'num_expert_groups', 4],
    ['afmoe', 'num_limited_groups', 2],
    ['cohere2_moe', 'use_qk_norm', true],
    ['cohere2_moe', 'use_parallel_block', false],
    ['cohere2_moe', 'use_gated_activation', false],
    ['cohere2_moe', 'rotary_pct', 0.5],
    ['qwen3_next', 'attn_output_gate', false],
    ['lfm2_moe', 'use_pos_enc', false],
    ['granitemoehybrid', 'normalization_function', 'layernorm'],
    ['nemotron_h', 'layers_block_type', ['linear_attention', 'moe', 'conv', 'moe']],
    ['nemotron_h', 'layers_block_type', []],
    ['nemotron_h', 'mlp_hidden_act', 'silu'],
    ['nemotron_h', 'mlp_bias', true],
    ['nemotron_h', 'mamba_hidden_act', 'gelu'],
    ['nemotron_h', 'mamba_proj_bias', true],
    ['nemotron_h', 'use_bias', true],
    ['nemotron_h', 'n_shared_experts', 2],
    ['nemotron_h', 'n_groups', 3],
    ['nemotron_h', 'ssm_state_size', 512],
    ['nemotron_h', 'mamba_head_dim', 24],
    ['nemotron_h', 'time_step_limit', [0, 0.1]],
    ['nemotron_h', 'sliding_window', 64],
    ['solar_open', 'first_k_dense_replace', 1],
    ['solar_open', 'use_qk_norm', true],
  ];
  const models = [
    'mixtral',
    'qwen2_moe',
    'qwen3_moe',
    'olmoe',
    'phimoe',
    'granitemoe',
    'glm4_moe',
    'ernie4_5_moe',
    'deepseek_moe',
    'openmoe',
    'afmoe',
    'cohere2_moe',
    'dots1',
    'exaone_moe',
    'hunyuan_v1_moe',
    'hy_v3',
    'laguna',
    'mimo_v2_flash',
    'minimax_m2',
    'qwen3_next',
    'solar_open',
  ];
  const cases = [...models.flatMap((m) => everywhere.map(([key, value]) => [m, key, value] as const)), ...own];

  it.each(cases)('is refused: %s with %s %j', (model, key, value) => {
    const { rope_parameters, head_dim, ...rest } = golden(model);
    const config = { ...rest, ...(key.startsWith('rope') ? {} : { rope_parameters }), [key]: value };
    const withHead = key === 'hidden_size' ? config : { ...config, head_dim };
    const message = fiddlerError('unsupported', () => describeModel(withHead));
    const named =
      key === 'hidden_size'
        ? 'num_attention_heads'
        : key === 'num_experts_per_tok'
          ? /num_experts_per_tok|number of experts/
          : key;
    expect(message).toMatch(named);
  });

  const ofText: [model: string, key: string, value: unknown][] = [
    ['gemma4', 'hidden_activation', 'silu'],
    ['gemma4', 'enable_moe_block', false],
    ['gemma4', 'attention_bias', true],
    ['gemma4', 'num_kv_shared_layers', 2],
    ['gemma4', 'hidden_size_per_layer_input', 256],
    ['gemma4', 'use_double_wide_mlp', true],
    ['gemma4', 'use_bidirectional_attention', 'all'],
    ['gemma4', 'layer_types', ['sliding_attention']],
    ['gemma4', 'rope_parameters', { full_attention: UNKNOWN_ROPE, sliding_attention: UNKNOWN_ROPE }],
    ['qwen3_5_moe', 'hidden_act', 'gelu'],
    ['qwen3_5_moe', 'attn_output_gate', false],
    ['qwen3_5_moe', 'layer_types', ['linear_attention']],
    ['qwen3_5_moe', 'linear_num_value_heads', 3],
    ['qwen3_5_moe', 'rope_parameters', UNKNOWN_ROPE],
    ['qwen3_vl_moe', 'hidden_act', 'gelu'],
    ['qwen3_vl_moe', 'use_sliding_window', true],
    ['qwen3_vl_moe', 'rope_parameters', UNKNOWN_ROPE],
  ];

  it.each(ofText)('is refused of the text of %s with %s %j', (model, key, value) => {
    const { text_config, ...rest } = golden(model);
    const config = { ...rest, text_config: { ...(text_config as JsonObject), [key]: value } };
    expect(fiddlerError('unsupported', () => describeModel(config))).toMatch(key);
  });

  it.each(models)('is an error of the file where a size of %s is missing or no number', (model) => {
    const { num_hidden_layers, ...rest } = golden(model);
    expect(fiddlerError('file', () => describeModel(rest))).toContain('num_hidden_layers');
    expect(fiddlerError('file', () => describeModel({ ...rest, num_hidden_layers: '2' }))).toContain(
      'num_hidden_layers',
    );
    expect(fiddlerError('file', () => describeModel({ ...rest, num_hidden_layers: 0 }))).toContain('num_hidden_layers');
  });

  it('is refused where the family is not known', () => {
    expect(fiddlerError('unsupported', () => describeModel({ model_type: 'bert' }))).toContain('bert');
  });

  it('is told from others of the same model_type by its architecture', () => {
    const config = golden('openmoe');
    expect(familyOf(config).name).toBe('openmoe');
    for (const architectures of [['LlamaForCausalLM'], [], undefined, 'OpenMoeForCausalLM']) {
      const message = fiddlerError('unsupported', () => describeModel({ ...config, architectures }));
      expect(message).toContain('model_type "llama"');
    }
  });
});
