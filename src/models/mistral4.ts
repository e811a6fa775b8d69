import { z } from 'zod';
import { validate } from '../weights/config.js';
import { decoder } from './blocks/decoder.js';
import { gatedFeedForward } from './blocks/feed-forward.js';
import { latentAttention } from './blocks/mla.js';
import { mixtureOfExperts, separateExperts } from './blocks/moe.js';
import { rmsNorm } from './blocks/norm.js';
import { queryGrowth } from './blocks/query-growth.js';
import { rotary } from './blocks/rotary.js';
import { decoderFields, readConfig, refuseUnless, size } from './config.js';
import { latentFields, latentHeadsOf } from './latent.js';
import { denseFields, denseLayers } from './layer-kinds.js';
import type { Family } from './model.js';
import { textConfig } from './nested.js';
import { readRotation, ropeFields } from './rope.js';
import { expertGroups, scoreRouter } from './router-scores.js';

const schema = z.object({
  ...decoderFields,
  ...ropeFields,
  ...latentFields,
  ...denseFields,
  intermediate_size: size,
  moe_intermediate_size: size,
  n_routed_experts: size,
  n_shared_experts: z.int().nonnegative(),
  num_experts_per_tok: size,
  n_group: size.default(1),
  topk_group: size.default(1),
  norm_topk_prob: z.boolean().default(true),
  routed_scaling_factor: z.number().default(1),
});

/** What is read of `rope_parameters` beside the rotation. */
const growth = z.object({
  llama_4_scaling_beta: z.number().nonnegative().nullish(),
  original_max_position_embeddings: size.nullish(),
});

/** Mistral Small 4. Reference: transformers, models/mistral4. */
export const mistral4: Family = {
  modelType: 'mistral4',
  within: 'mistral3',
  renamings: [
    ['language_model.model.', 'model.language_model.'],
    ['language_model.lm_head.', 'lm_head.'],
  ],
  describe(config, declare) {
    const nested = config.text_config !== undefined;
    const c = readConfig(schema, nested ? textConfig(config) : config);
    const hidden = c.hidden_size;
    const [count, chosen, width] = [c.n_routed_experts, c.num_experts_per_tok, c.moe_intermediate_size];
    const groups = expertGroups('best two', { experts: count, chosen, count: c.n_group, kept: c.topk_group });
    const attention = { ...latentHeadsOf(c), rotate: rotary(declare, rotationOf(c)), grow: growthOf(c) };
    const dense = denseLayers(c, 0);
    return decoder(declare, c, {
      names: nested ? { model: 'language_model.model', head: 'language_model.lm_head' } : undefined,
      norm: (name) => rmsNorm(declare, name, hidden, c.rms_norm_eps),
      attention: (prefix) => latentAttention(declare, prefix, attention),
      feedForward: (layer, l) => {
        const mlp = `${layer}.mlp`;
        if (dense(l)) return { dense: gatedFeedForward(declare, mlp, hidden, c.intermediate_size) };
        const shared = c.n_shared_experts * width;
        return {
          dense: shared > 0 ? gatedFeedForward(declare, `${mlp}.shared_experts`, hidden, shared) : undefined,
          moe: mixtureOfExperts(declare, {
            hidden,
            width,
            count,
            router: scoreRouter({
              chosen,
              score: 'softmax',
              groups,
              renormalise: c.norm_topk_prob ? { epsilon: 1e-20 } : undefined,
              scale: c.routed_scaling_factor,
            }),
            gate: `${mlp}.gate.weight`,
            ...separateExperts(`${mlp}.experts`, width),
          }),
        };
      },
    });

    function growthOf({ rope_parameters, rope_scaling, max_position_embeddings }: typeof c) {
      const { llama_4_scaling_beta: beta, original_max_position_embeddings: original } = validate(
        growth,
        rope_parameters ?? rope_scaling ?? {},
        'config.json: rope_parameters',
      );
      if (!beta) return undefined;
      refuseUnless(typeof original === 'number', 'original_max_position_embeddings', 'is missing');
      return queryGrowth(declare, max_position_embeddings, { beta, original: original! });
    }
  },
};

/** The rotated part of a head; `partial_rotary_factor` says which part of `head_dim` that is. @throws FiddlerError */
function rotationOf(c: z.infer<typeof schema>) {
  const headSize = c.head_dim ?? c.qk_nope_head_dim + c.qk_rope_head_dim;
  const part = c.partial_rotary_factor ?? c.qk_rope_head_dim / headSize;
  const rotation = readRotation({ ...c, partial_rotary_factor: part }, { headSize, interleaved: true, base: 1e4 });
  refuseUnless(
    rotation.dimensions === c.qk_rope_head_dim,
    'partial_rotary_factor',
    'is not the part of qk_rope_head_dim',
  );
  return rotation;
}
