import { z } from 'zod';
import { groupedQueryAttention } from './blocks/attention.js';
import { decoder } from './blocks/decoder.js';
import { gatedFeedForward } from './blocks/feed-forward.js';
import { lossFreeExperts, lossFreeFields, lossFreeOptions } from './blocks/loss-free-moe.js';
import { rmsNorm } from './blocks/norm.js';
import { rotary } from './blocks/rotary.js';
import { decoderFields, headsOf, readConfig, refuseUnless, size } from './config.js';
import { checkLayers, denseFields, denseLayers, slidingFields, slidingWindows } from './layer-kinds.js';
import type { Family } from './model.js';
import { readRotation, ropeFields, ropeOfKind } from './rope.js';

const positive = z.number().positive();
const bits = z.array(z.union([z.literal(0), z.literal(1)]));

const schema = z.object({
  ...decoderFields,
  ...ropeFields,
  ...lossFreeFields,
  ...denseFields,
  ...slidingFields,
  /** Published configs have these instead of `rms_norm_eps`, `layer_types`, `mlp_layer_types` and `rope_parameters`. */
  rms_norm_eps: positive.nullish(),
  layernorm_epsilon: positive.nullish(),
  hybrid_layer_pattern: bits.nullish(),
  moe_layer_freq: bits.nullish(),
  swa_rope_theta: positive.nullish(),
  sliding_window: size.nullish(),
  sliding_window_size: size.nullish(),
  routed_scaling_factor: z.number().nullish(),
  intermediate_size: size,
  n_routed_experts: size,
  n_shared_experts: z.literal(0).nullish(),
  v_head_dim: size,
  swa_num_attention_heads: size.nullish(),
  swa_num_key_value_heads: size.nullish(),
  swa_head_dim: size.nullish(),
  swa_v_head_dim: size.nullish(),
  attention_value_scale: z.number().nullish(),
  attention_bias: z.boolean().default(false),
  add_swa_attention_sink_bias: z.literal(true).default(true),
  add_full_attention_sink_bias: z.literal(false).default(false),
});

type Config = z.infer<typeof schema>;

/** MiMo-V2-Flash (Xiaomi, MiMo-V2-Flash Technical Report). Reference: transformers, models/mimo_v2_flash. */
export const mimoV2Flash: Family = {
  modelType: 'mimo_v2_flash',
  describe(config, declare) {
    const c = normalised(readConfig(schema, config));
    const { hidden, heads, kvHeads, headSize } = headsOf(c);
    const [dense, window] = [denseLayers(c, 1), slidingWindows(c, (l) => l > 0 && (l + 1) % 6 !== 0)];
    const rotation = (kind: 'full_attention' | 'sliding_attention', base: number) =>
      rotary(declare, readRotation(ropeOfKind(c, kind), { headSize, base }));
    const full = { heads, kvHeads, headSize, valueSize: c.v_head_dim, rotate: rotation('full_attention', 5e6) };
    const sliding = {
      heads: c.swa_num_attention_heads ?? heads,
      kvHeads: c.swa_num_key_value_heads ?? 2 * kvHeads,
      headSize: c.swa_head_dim ?? headSize,
      valueSize: c.swa_v_head_dim ?? c.v_head_dim,
      rotate: rotation('sliding_attention', 1e4),
      sinks: 'attention_sink_bias',
    };
    refuseUnless(sliding.headSize === headSize, 'swa_head_dim', `is not ${headSize}, that of the other layers`);
    const experts = lossFreeOptions(c, { experts: c.n_routed_experts, shared: 0 });
    return decoder(declare, c, {
      norm: (name) => rmsNorm(declare, name, hidden, c.rms_norm_eps),
      attention: (prefix, l) =>
        groupedQueryAttention(declare, prefix, {
          hidden,
          ...(window(l) === undefined ? full : sliding),
          bias: c.attention_bias,
          valueScale: c.attention_value_scale ?? 1,
          window: window(l),
        }),
      feedForward: (layer, l) =>
        dense(l)
          ? { dense: gatedFeedForward(declare, `${layer}.mlp`, hidden, c.intermediate_size) }
          : lossFreeExperts(declare, `${layer}.mlp`, experts),
    });
  },
};

/** What published configs name otherwise, by its newer name. @throws FiddlerError `unsupported` */
function normalised(c: Config) {
  const { hybrid_layer_pattern: slides, moe_layer_freq: sparse, num_hidden_layers: layers } = c;
  if (slides) checkLayers('hybrid_layer_pattern', slides, layers);
  if (sparse) checkLayers('moe_layer_freq', sparse, layers);
  const epsilon = c.rms_norm_eps ?? c.layernorm_epsilon ?? undefined;
  refuseUnless(epsilon !== undefined, 'layernorm_epsilon', 'is missing');
  refuseUnless(!c.rope_scaling, 'rope_scaling', `is ${JSON.stringify(c.rope_scaling)}, but none is supported`);
  const kinds = slides?.map((bit) => (bit ? ('sliding_attention' as const) : ('full_attention' as const)));
  const plain = { rope_theta: c.rope_theta ?? 5e6, partial_rotary_factor: c.partial_rotary_factor ?? 0.334 };
  return {
    ...c,
    rms_norm_eps: epsilon!,
    routed_scaling_factor: c.routed_scaling_factor ?? 1,
    sliding_window: c.sliding_window ?? c.sliding_window_size,
    layer_types: c.layer_types ?? kinds,
    mlp_layer_types: c.mlp_layer_types ?? sparse?.map((bit) => (bit ? ('sparse' as const) : ('dense' as const))),
    rope_parameters: c.rope_parameters ?? {
      full_attention: plain,
      sliding_attention: { ...plain, rope_theta: c.swa_rope_theta ?? 1e4 },
    },
  };
}
