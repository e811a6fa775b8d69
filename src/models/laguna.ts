import { z } from 'zod';
import { groupedQueryAttention, type OutputGate } from './blocks/attention.js';
import { decoder } from './blocks/decoder.js';
import { gatedFeedForward } from './blocks/feed-forward.js';
import { lossFreeExperts } from './blocks/loss-free-moe.js';
import { rmsNorm } from './blocks/norm.js';
import { rotary } from './blocks/rotary.js';
import { decoderFields, headsOf, readConfig, size } from './config.js';
import { checkLayers, denseFields, denseLayers, slidingFields, slidingWindows } from './layer-kinds.js';
import type { Family } from './model.js';
import { readRotation, ropeFields, ropeOfKind } from './rope.js';

const GATINGS = ['per-head', 'per_head', 'per-element', 'per_element'] as const;

const schema = z.object({
  ...decoderFields,
  ...ropeFields,
  ...denseFields,
  ...slidingFields,
  intermediate_size: size,
  moe_intermediate_size: size,
  shared_expert_intermediate_size: size,
  num_experts: size,
  num_experts_per_tok: size,
  num_attention_heads_per_layer: z.array(size).nullish(),
  /** What each gate of attention is for; `true` is a head. */
  gating: z.literal([true, ...GATINGS]).default(true),
  gating_types: z.array(z.literal(GATINGS)).nullish(),
  moe_routed_scaling_factor: z.number().default(1),
  moe_router_logit_softcapping: z.literal(0).default(0),
  moe_apply_router_weight_on_input: z.literal(false).default(false),
  norm_topk_prob: z.literal(true).nullish(),
  attention_bias: z.literal(false).default(false),
  qkv_bias: z.literal(false).nullish(),
  /** Instead of `mlp_layer_types`. */
  mlp_only_layers: z.array(z.int().nonnegative()).nullish(),
  decoder_sparse_step: z.literal(1).nullish(),
});

/** Laguna (poolside). Layers may differ in their number of heads. Reference: transformers, models/laguna. */
export const laguna: Family = {
  modelType: 'laguna',
  describe(config, declare) {
    const c = readConfig(schema, config);
    const { hidden, headSize, kvHeads } = headsOf(c);
    const rotation = (kind: 'full_attention' | 'sliding_attention', base: number) =>
      rotary(declare, readRotation(ropeOfKind(c, kind), { headSize, base }));
    const rotate = { full: rotation('full_attention', 5e5), sliding: rotation('sliding_attention', 1e4) };
    const layers = c.num_hidden_layers;
    const heads = c.num_attention_heads_per_layer ?? Array<number>(layers).fill(c.num_attention_heads);
    const gates = c.gating_types ?? Array<z.infer<typeof schema>['gating']>(layers).fill(c.gating);
    checkLayers('num_attention_heads_per_layer', heads, layers);
    checkLayers('gating_types', gates, layers);
    const { mlp_only_layers: listed } = c;
    const dense = c.mlp_layer_types || !listed ? denseLayers(c, 1) : (l: number) => listed.includes(l);
    const window = slidingWindows(c, () => false);
    return decoder(declare, c, {
      norm: (name) => rmsNorm(declare, name, hidden, c.rms_norm_eps),
      attention: (prefix, l) =>
        groupedQueryAttention(declare, prefix, {
          hidden,
          heads: heads[l]!,
          kvHeads,
          headSize,
          rotate: window(l) === undefined ? rotate.full : rotate.sliding,
          norm: { over: 'head', epsilon: c.rms_norm_eps },
          outputGate: { name: 'g_proj', per: gatedPer(gates[l]!), by: 'softplus' },
          window: window(l),
        }),
      feedForward: (layer, l) =>
        dense(l)
          ? { dense: gatedFeedForward(declare, `${layer}.mlp`, hidden, c.intermediate_size) }
          : lossFreeExperts(declare, `${layer}.mlp`, {
              hidden,
              width: c.moe_intermediate_size,
              shared: c.shared_expert_intermediate_size,
              count: c.num_experts,
              chosen: c.num_experts_per_tok,
              renormalise: {},
              scale: c.moe_routed_scaling_factor,
              names: { correction: 'experts.e_score_correction_bias', shared: 'shared_expert' },
            }),
    });
  },
};

function gatedPer(gating: z.infer<typeof schema>['gating']): OutputGate['per'] {
  return gating === 'per-element' || gating === 'per_element' ? 'element' : 'head';
}
