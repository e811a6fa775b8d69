import { z } from 'zod';
import { groupedQueryAttention } from './blocks/attention.js';
import { decoder } from './blocks/decoder.js';
import { gatedFeedForward } from './blocks/feed-forward.js';
import { lossFreeExperts } from './blocks/loss-free-moe.js';
import { rmsNorm } from './blocks/norm.js';
import { rotary } from './blocks/rotary.js';
import { shortConvolution } from './blocks/short-convolution.js';
import { decoderFields, headsOf, readConfig, size } from './config.js';
import { checkLayers } from './layer-kinds.js';
import type { Family } from './model.js';
import { readRotation, ropeFields } from './rope.js';

const { rms_norm_eps: _, ...fields } = decoderFields;

const schema = z.object({
  ...fields,
  ...ropeFields,
  norm_eps: z.number().positive().default(1e-5),
  tie_word_embeddings: z.boolean().default(true),
  intermediate_size: size,
  moe_intermediate_size: size,
  num_dense_layers: z.int().nonnegative(),
  num_experts: size,
  num_experts_per_tok: size,
  norm_topk_prob: z.boolean().default(true),
  use_expert_bias: z.literal(true).default(true),
  routed_scaling_factor: z.number().default(1),
  layer_types: z.array(z.enum(['conv', 'full_attention'])),
  conv_L_cache: size.min(2).max(16).default(3),
  conv_bias: z.literal(false).default(false),
  use_pos_enc: z.literal(true).nullish(),
});

const PROJECTIONS = ['w1', 'w3', 'w2'] as const;

/** LFM2 with experts: short convolutions, and attention in some layers. Reference: transformers, models/lfm2_moe. */
export const lfm2Moe: Family = {
  modelType: 'lfm2_moe',
  describe(config, declare) {
    const c = readConfig(schema, config);
    const { hidden, ...heads } = headsOf(c);
    const { norm_eps: epsilon, layer_types: kinds } = c;
    checkLayers('layer_types', kinds, c.num_hidden_layers);
    const rotate = rotary(declare, readRotation(c, { ...heads, base: 1e6 }));
    return decoder(declare, c, {
      norm: (name) => rmsNorm(declare, name, hidden, epsilon),
      attentionNorm: 'operator_norm',
      feedForwardNorm: 'ffn_norm',
      lastNorm: 'embedding_norm',
      attention: (prefix, l) => {
        const options = { hidden, kernel: c.conv_L_cache };
        if (kinds[l] === 'conv') return shortConvolution(declare, prefix.replace('self_attn', 'conv'), options);
        return groupedQueryAttention(declare, prefix, {
          hidden,
          ...heads,
          rotate,
          norm: { over: 'head', epsilon, names: { q: 'q_layernorm', k: 'k_layernorm' } },
          output: 'out_proj',
        });
      },
      feedForward: (layer, l) => {
        const prefix = `${layer}.feed_forward`;
        if (l < c.num_dense_layers) {
          return { dense: gatedFeedForward(declare, prefix, hidden, c.intermediate_size, 'swiglu', PROJECTIONS) };
        }
        return lossFreeExperts(declare, prefix, {
          hidden,
          width: c.moe_intermediate_size,
          shared: 0,
          count: c.num_experts,
          chosen: c.num_experts_per_tok,
          renormalise: c.norm_topk_prob ? { epsilon: 1e-6 } : undefined,
          scale: c.routed_scaling_factor,
          names: { correction: 'expert_bias' },
          projections: PROJECTIONS,
        });
      },
    });
  },
};
