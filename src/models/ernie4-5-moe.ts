import { z } from 'zod';
import { groupedQueryAttention } from './blocks/attention.js';
import { decoder } from './blocks/decoder.js';
import { gatedFeedForward } from './blocks/feed-forward.js';
import { mixtureOfExperts, separateExperts } from './blocks/moe.js';
import { rmsNorm } from './blocks/norm.js';
import { rotary } from './blocks/rotary.js';
import { decoderFields, headsOf, readConfig, size } from './config.js';
import type { Family } from './model.js';
import { readRotation, ropeFields } from './rope.js';
import { scoreRouter } from './router-scores.js';

const schema = z.object({
  ...decoderFields,
  ...ropeFields,
  tie_word_embeddings: z.boolean().default(true),
  intermediate_size: size,
  moe_intermediate_size: size,
  moe_num_experts: size,
  moe_num_shared_experts: z.int().nonnegative().default(2),
  moe_k: size,
  /** Layers from start to end (−1: the last) have experts, where the layer's number plus 1 is a multiple of the interval. */
  moe_layer_start_index: z.int().nonnegative().default(1),
  moe_layer_end_index: z.int().min(-1).default(-1),
  moe_layer_interval: size.default(1),
  moe_norm_min: z.number().nonnegative().default(1e-12),
  moe_gate_act: z.literal('softmax').nullish(),
  use_bias: z.literal(false).default(false),
});

/** ERNIE 4.5 (Baidu, ERNIE 4.5 Technical Report). Reference: transformers, models/ernie4_5_moe. */
export const ernie45Moe: Family = {
  modelType: 'ernie4_5_moe',
  renamings: [['.mlp.moe_statics.', '.mlp.gate.moe_statics.']],
  describe(config, declare) {
    const c = readConfig(schema, config);
    const heads = headsOf(c);
    const { hidden, headSize } = heads;
    const rotate = rotary(declare, readRotation(c, { headSize, interleaved: true, base: 5e5 }));
    const last = c.moe_layer_end_index === -1 ? c.num_hidden_layers - 1 : c.moe_layer_end_index;
    const sparse = (l: number) => l >= c.moe_layer_start_index && l <= last && (l + 1) % c.moe_layer_interval === 0;
    return decoder(declare, c, {
      norm: (name) => rmsNorm(declare, name, hidden, c.rms_norm_eps),
      attention: (prefix) =>
        groupedQueryAttention(declare, prefix, {
          ...heads,
          rotate,
        }),
      feedForward: (layer, l) => {
        const mlp = `${layer}.mlp`;
        if (!sparse(l)) return { dense: gatedFeedForward(declare, mlp, hidden, c.intermediate_size) };
        const [count, width, shared] = [c.moe_num_experts, c.moe_intermediate_size, c.moe_num_shared_experts];
        return {
          dense: shared > 0 ? gatedFeedForward(declare, `${mlp}.shared_experts`, hidden, width * shared) : undefined,
          moe: mixtureOfExperts(declare, {
            hidden,
            width,
            count,
            router: scoreRouter({
              chosen: c.moe_k,
              score: 'softmax',
              correction: declare.hostVector(`${mlp}.moe_statics.e_score_correction_bias`, count, [1, count]),
              renormalise: { minimum: c.moe_norm_min },
            }),
            gate: `${mlp}.gate.weight`,
            ...separateExperts(`${mlp}.experts`, width),
          }),
        };
      },
    });
  },
};
