import { z } from 'zod';
import { groupedQueryAttention } from './blocks/attention.js';
import { decoder } from './blocks/decoder.js';
import { swigluGatedFeedForward } from './blocks/feed-forward.js';
import { mixtureOfExperts, transposedExperts } from './blocks/moe.js';
import { rmsNorm } from './blocks/norm.js';
import { rotary } from './blocks/rotary.js';
import { decoderFields, headsOf, readConfig, refuseUnless, size } from './config.js';
import type { Family } from './model.js';
import { readRotation, ropeFields } from './rope.js';
import { evenCapacity } from './router-capacity.js';
import { scoreRouter } from './router-scores.js';

const BASE = 1e4;

const schema = z.object({
  ...decoderFields,
  ...ropeFields,
  hidden_act: z.literal('swiglu').default('swiglu'),
  intermediate_size: size,
  attention_bias: z.literal(false).default(false),
  moe_layer_interval: size,
  num_experts: size,
  mlp_gated: z.literal(true),
  router_topk: z.literal(2),
  router_capacity_factor_eval: z.number().positive(),
  router_min_capacity: size,
  router_drop_tks: z.literal(true),
});

/**
 * OpenMoE (arXiv 2402.01739). Reference: ColossalAI, examples/language/openmoe/model/modeling_openmoe.py and
 * colossalai/moe; in evaluation.
 */
export const openMoe: Family = {
  name: 'openmoe',
  modelType: 'llama',
  architecture: 'OpenMoeForCausalLM',
  describe(config, declare) {
    const c = readConfig(schema, config);
    const heads = headsOf(c);
    const { hidden, headSize } = heads;
    const { intermediate_size: width, num_experts: count, router_topk: chosen } = c;
    const rotation = readRotation(c, { headSize, base: BASE });
    refuseUnless(rotation.base === BASE, 'rope_theta', `is ${rotation.base}, but the reference computes with ${BASE}`);
    refuseUnless(!rotation.divisors, 'rope_scaling', 'is set, but the reference computes without it');
    const rotate = rotary(declare, rotation);
    const norm = (name: string) => rmsNorm(declare, name, hidden, c.rms_norm_eps);
    return decoder(declare, c, {
      norm,
      attention: (prefix) => groupedQueryAttention(declare, prefix, { ...heads, rotate, scale: 1 }),
      feedForward: (layer, l) => {
        const mlp = `${layer}.mlp`;
        if ((l + 1) % c.moe_layer_interval !== 0) return { dense: swigluGatedFeedForward(declare, mlp, hidden, width) };
        const extraNorm = norm(`${layer}.pre_extra_mlp_layernorm`);
        const extra = swigluGatedFeedForward(declare, `${layer}.extra_mlp`, hidden, width);
        return {
          moe: mixtureOfExperts(declare, {
            hidden,
            width,
            count,
            router: scoreRouter({ chosen, score: 'softmax' }),
            capacity: evenCapacity({
              experts: count,
              chosen,
              factor: c.router_capacity_factor_eval,
              minimum: c.router_min_capacity,
            }),
            gate: `${mlp}.gate_weight`,
            activation: 'swiglu-gated',
            matrices: transposedExperts(`${mlp}.experts`, width),
          }),
          epilogue: (g, x) => extra(g, extraNorm(g, x)),
        };
      },
    });
  },
};
