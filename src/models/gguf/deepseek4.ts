import type { GgufArchitecture } from './architecture.js';
import { decoderConfig } from './decoder-config.js';
import { indexerConfig } from './sparse.js';

const ATTENTION = {
  wq_a: 'attn_q_a',
  q_norm: 'attn_q_a_norm',
  wq_b: 'attn_q_b',
  wkv: 'attn_kv',
  kv_norm: 'attn_kv_a_norm',
  attn_sink: 'attn_sinks.weight',
  wo_a: 'attn_output_a',
  wo_b: 'attn_output_b',
  'indexer.wq_b': 'indexer.attn_q_b',
  'indexer.weights_proj': 'indexer.proj',
};

/** What compresses entries, and what compresses an indexer's keys. */
const COMPRESSORS = { compressor: 'attn_compressor', 'indexer.compressor': 'indexer_compressor' };

/** DeepSeek-V4. */
export const deepseek4: GgufArchitecture = {
  name: 'deepseek4',
  names: {
    embed: 'token_embd',
    norm: 'output_norm',
    head: 'output',
    ...Object.fromEntries(['fn', 'base', 'scale'].map((part) => [`hc_head_${part}`, `output_hc_${part}.weight`])),
    ...Object.fromEntries(
      ['attn', 'ffn'].flatMap((block) =>
        ['fn', 'base', 'scale'].map((part) => [`hc_${block}_${part}`, `hc_${block}_${part}.weight`]),
      ),
    ),
    ...Object.fromEntries(Object.entries(ATTENTION).map(([ours, theirs]) => [`attn.${ours}`, theirs])),
    ...Object.fromEntries(
      Object.entries(COMPRESSORS).flatMap(([ours, theirs]) => [
        [`attn.${ours}.wkv`, `${theirs}_kv`],
        [`attn.${ours}.wgate`, `${theirs}_gate`],
        [`attn.${ours}.ape`, `${theirs}_ape.weight`],
        [`attn.${ours}.norm`, `${theirs}_norm`],
      ]),
    ),
    attn_norm: 'attn_norm',
    ffn_norm: 'ffn_norm',
    'ffn.gate': 'ffn_gate_inp',
    'ffn.gate.bias': 'exp_probs_b.bias',
    'ffn.gate.tid2eid': 'ffn_gate_tid2eid.weight',
    'ffn.shared_experts.w1': 'ffn_gate_shexp',
    'ffn.shared_experts.w3': 'ffn_up_shexp',
    'ffn.shared_experts.w2': 'ffn_down_shexp',
  },
  config(keys) {
    if (keys.gating !== 'sqrt softplus')
      keys.refuse('expert_gating_func', `is ${keys.gating}, not the root of softplus`);
    const [limit, ofShared] = ['exp', 'shexp'].map((part) => keys.shared(`swiglu_clamp_${part}`));
    if (ofShared !== undefined && ofShared !== limit) keys.refuse('swiglu_clamp_shexp', 'is not swiglu_clamp_exp');
    return {
      ...decoderConfig(keys, { kvHeads: 1 }),
      ...indexerConfig(keys),
      model_type: 'deepseek_v4',
      q_lora_rank: keys.required('attention.q_lora_rank'),
      qk_rope_head_dim: keys.required('rope.dimension_count'),
      o_groups: keys.required('attention.output_group_count'),
      o_lora_rank: keys.required('attention.output_lora_rank'),
      sliding_window: keys.required('attention.sliding_window'),
      compress_ratios: keys.integers('attention.compress_ratios'),
      compress_rope_theta: keys.number('attention.compress_rope_freq_base'),
      num_hash_layers: keys.required('hash_layer_count'),
      hc_mult: keys.required('hyper_connection.count'),
      hc_sinkhorn_iters: keys.required('hyper_connection.sinkhorn_iterations'),
      hc_eps: keys.number('hyper_connection.epsilon'),
      moe_intermediate_size: keys.required('expert_feed_forward_length'),
      n_routed_experts: keys.required('expert_count'),
      n_shared_experts: keys.required('expert_shared_count'),
      norm_topk_prob: keys.flag('expert_weights_norm') ?? false,
      routed_scaling_factor: keys.number('expert_weights_scale') ?? 1,
      swiglu_limit: limit,
    };
  },
};
