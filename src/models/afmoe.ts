import { z } from 'zod';
import { groupedQueryAttention } from './blocks/attention.js';
import { decoder } from './blocks/decoder.js';
import { gatedFeedForward } from './blocks/feed-forward.js';
import { lossFreeExperts } from './blocks/loss-free-moe.js';
import { normedAttention, rmsNorm } from './blocks/norm.js';
import { rotary } from './blocks/rotary.js';
import { decoderFields, headsOf, readConfig, size } from './config.js';
import { slidingFields, slidingWindows } from './layer-kinds.js';
import type { Family, Merge } from './model.js';
import { readRotation, ropeFields } from './rope.js';

const schema = z.object({
  ...decoderFields,
  ...ropeFields,
  ...slidingFields,
  global_attn_every_n_layers: size.default(4),
  intermediate_size: size,
  moe_intermediate_size: size,
  num_dense_layers: z.int().nonnegative(),
  num_experts: size,
  num_shared_experts: z.int().nonnegative(),
  num_experts_per_tok: size,
  route_scale: z.number().default(1),
  route_norm: z.literal(true).nullish(),
  score_func: z.literal('sigmoid').nullish(),
  n_group: z.literal(1).nullish(),
  topk_group: z.literal(1).nullish(),
  num_expert_groups: z.literal(1).nullish(),
  num_limited_groups: z.literal(1).nullish(),
  mup_enabled: z.boolean().default(false),
  attention_bias: z.literal(false).nullish(),
});

/** Trinity (Arcee AI). Layers that look at all tokens know no positions. Reference: transformers, models/afmoe. */
export const afmoe: Family = {
  modelType: 'afmoe',
  describe(config, declare) {
    const c = readConfig(schema, config);
    const heads = headsOf(c);
    const { hidden, headSize } = heads;
    const rotate = rotary(declare, readRotation(c, { headSize, base: 1e4 }));
    const window = slidingWindows(c, (l) => (l + 1) % c.global_attn_every_n_layers !== 0);
    const norm = (name: string) => rmsNorm(declare, name, hidden, c.rms_norm_eps);
    return decoder(declare, c, {
      norm,
      feedForwardNorm: 'pre_mlp_layernorm',
      embeddingScale: c.mup_enabled ? Math.sqrt(hidden) : 1,
      attention: (prefix, l) =>
        normedAttention(
          groupedQueryAttention(declare, prefix, {
            ...heads,
            rotate: window(l) === undefined ? undefined : rotate,
            norm: { over: 'head', epsilon: c.rms_norm_eps },
            outputGate: { name: 'gate_proj', per: 'element', by: 'sigmoid' },
            window: window(l),
          }),
          norm(prefix.replace('self_attn', 'post_attention_layernorm')),
        ),
      feedForward: (layer, l) => {
        const [mlp, after] = [`${layer}.mlp`, norm(`${layer}.post_mlp_layernorm`)];
        if (l < c.num_dense_layers) {
          const dense = gatedFeedForward(declare, mlp, hidden, c.intermediate_size);
          return { dense: (g, x) => after(g, dense(g, x)) };
        }
        const { moe, dense: shared } = lossFreeExperts(declare, mlp, {
          hidden,
          width: c.moe_intermediate_size,
          shared: c.num_shared_experts * c.moe_intermediate_size,
          count: c.num_experts,
          chosen: c.num_experts_per_tok,
          renormalise: { epsilon: 1e-20 },
          scale: c.route_scale,
          names: { gate: 'router.gate.weight', correction: 'expert_bias' },
        });
        const merge: Merge = {
          beside: shared && ((g, _, normal) => shared(g, normal)),
          join: (g, x, sum, beside) => g.add(x, after(g, beside ? g.add(sum, beside) : sum)),
        };
        return { moe, merge };
      },
    });
  },
};
