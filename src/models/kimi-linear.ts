import { z } from 'zod';
import { decoder } from './blocks/decoder.js';
import { gatedFeedForward } from './blocks/feed-forward.js';
import { kimiDeltaAttention } from './blocks/kimi-delta-attention.js';
import { lossFreeExperts, lossFreeFields, lossFreeOptions } from './blocks/loss-free-moe.js';
import { latentAttention } from './blocks/mla.js';
import { rmsNorm } from './blocks/norm.js';
import { decoderFields, readConfig, refuseUnless, size, unsupported } from './config.js';
import { latentFields, latentHeadsOf } from './latent.js';
import { checkLayers, denseFields, denseLayers } from './layer-kinds.js';
import type { Family } from './model.js';
import { ropeFields } from './rope.js';

const layerNumbers = z.array(size);
const schema = z.object({
  ...decoderFields,
  ...ropeFields,
  ...latentFields,
  ...lossFreeFields,
  ...denseFields,
  max_position_embeddings: size.nullish(),
  model_max_length: size.nullish(),
  q_lora_rank: z.null().optional(),
  intermediate_size: size,
  num_experts: size,
  num_shared_experts: z.int().nonnegative(),
  num_experts_per_token: size,
  num_experts_per_tok: size.optional(),
  num_expert_group: size.default(1),
  moe_renormalize: z.boolean().default(true),
  moe_router_activation_func: z.literal('sigmoid').default('sigmoid'),
  moe_layer_freq: z.literal(1).default(1),
  mla_use_nope: z.literal(true).default(true),
  /** Published configs, whose numbers of layers begin with 1. */
  linear_attn_config: z
    .object({
      kda_layers: layerNumbers,
      full_attn_layers: layerNumbers,
      head_dim: size,
      num_heads: size,
      short_conv_kernel_size: size,
    })
    .nullish(),
  /** Newer ones. */
  layer_types: z.array(z.enum(['linear_attention', 'full_attention'])).nullish(),
  linear_head_dim: size.nullish(),
  linear_num_heads: size.nullish(),
  linear_conv_kernel_dim: size.nullish(),
});

type Config = z.infer<typeof schema>;

/** Convolutions are at most so long. */
const LONGEST_KERNEL = 16;

/**
 * Kimi Linear (arXiv 2510.26692): three layers of Kimi delta attention to one of latent attention that knows no positions.
 * Reference: transformers, models/kimi_linear.
 */
export const kimiLinear: Family = {
  modelType: 'kimi_linear',
  renamings: ['gate', 'up', 'down'].map((name) => [`.mlp.${name}_proj.`, `.block_sparse_moe.${name}_proj.`] as const),
  describe(config, declare) {
    const read = readConfig(schema, config);
    const context = read.max_position_embeddings ?? read.model_max_length;
    const c = { ...read, max_position_embeddings: context ?? unsupported('model_max_length', 'is missing') };
    const hidden = c.hidden_size;
    const [linear, dense] = [linearLayers(c), denseLayers(c)];
    const delta = { hidden, epsilon: c.rms_norm_eps, ...deltaSizes(c) };
    const experts = lossFreeOptions(
      {
        ...c,
        num_experts_per_tok: c.num_experts_per_token,
        n_group: c.num_expert_group,
        norm_topk_prob: c.moe_renormalize,
      },
      { experts: c.num_experts, shared: c.num_shared_experts },
    );
    return decoder(declare, c, {
      norm: (name) => rmsNorm(declare, name, hidden, c.rms_norm_eps),
      attention: (prefix, l) =>
        linear(l)
          ? kimiDeltaAttention(declare, prefix, delta)
          : latentAttention(declare, prefix, { ...latentHeadsOf(c), rotate: (g, x) => g.contiguous(x) }),
      feedForward: (layer, l) =>
        dense(l)
          ? { dense: gatedFeedForward(declare, `${layer}.mlp`, hidden, c.intermediate_size) }
          : lossFreeExperts(declare, `${layer}.block_sparse_moe`, { ...experts, projections: ['w1', 'w3', 'w2'] }),
    });
  },
};

/** Whether layer `l` has Kimi delta attention. @throws FiddlerError `unsupported` */
function linearLayers(c: Config): (l: number) => boolean {
  const { layer_types: kinds, linear_attn_config: published, num_hidden_layers: layers } = c;
  if (kinds) {
    checkLayers('layer_types', kinds, layers);
    return (l) => kinds[l] === 'linear_attention';
  }
  if (!published) unsupported('linear_attn_config', 'is missing, and so is layer_types');
  const [linear, full] = [new Set(published.kda_layers), new Set(published.full_attn_layers)];
  return (l) => {
    refuseUnless(
      linear.has(l + 1) !== full.has(l + 1),
      'linear_attn_config',
      `does not say once what layer ${l + 1} is`,
    );
    return linear.has(l + 1);
  };
}

/** @throws FiddlerError `unsupported` */
function deltaSizes({ linear_attn_config: published, ...c }: Config) {
  const heads = c.linear_num_heads ?? published?.num_heads ?? unsupported('linear_num_heads', 'is missing');
  const headSize = c.linear_head_dim ?? published?.head_dim ?? unsupported('linear_head_dim', 'is missing');
  const kernel = c.linear_conv_kernel_dim ?? published?.short_conv_kernel_size ?? 4;
  refuseUnless(
    kernel >= 2 && kernel <= LONGEST_KERNEL,
    'linear_conv_kernel_dim',
    `is ${kernel}, not from 2 to ${LONGEST_KERNEL}`,
  );
  return { heads, headSize, kernel };
}
