import { z } from 'zod';
import { groupedQueryAttention } from './blocks/attention.js';
import { decoder } from './blocks/decoder.js';
import { fusedGatedFeedForward } from './blocks/feed-forward.js';
import { scaled } from './blocks/linear.js';
import { mamba2, stepLimit } from './blocks/mamba2.js';
import { fusedExperts, mixtureOfExperts } from './blocks/moe.js';
import { rmsNorm } from './blocks/norm.js';
import { rotary } from './blocks/rotary.js';
import { headsOf, readConfig, refuseUnless, size } from './config.js';
import { graniteFields } from './granitemoe.js';
import { checkLayers } from './layer-kinds.js';
import type { Family } from './model.js';
import type { Declarations } from './parameters.js';
import { readRotation } from './rope.js';
import { softmaxOverChosen } from './router.js';

const schema = z.object({
  ...graniteFields,
  normalization_function: z.literal('rmsnorm').nullish(),
  position_embedding_type: z.enum(['rope', 'nope']).nullish(),
  shared_intermediate_size: size,
  /** Published configs, and those of transformers 5. */
  layer_types: z.array(z.enum(['mamba', 'linear_attention', 'attention', 'full_attention'])),
  mamba_n_heads: size,
  mamba_d_head: z.union([size, z.literal('auto')]).default('auto'),
  mamba_d_state: size,
  mamba_n_groups: size.default(1),
  mamba_d_conv: size.min(2).max(16).default(4),
  mamba_expand: size.default(2),
  mamba_conv_bias: z.boolean().default(true),
  mamba_proj_bias: z.boolean().default(false),
  time_step_limit: stepLimit,
});

type Config = z.infer<typeof schema>;

/**
 * Granite 4.0 H (IBM): Mamba-2, and attention without positions in some layers; experts beside a dense feed-forward.
 * Reference: transformers, models/granitemoehybrid.
 */
export const graniteMoeHybrid: Family = {
  modelType: 'granitemoehybrid',
  describe(config, declare) {
    const c = readConfig(schema, config);
    const heads = headsOf(c);
    const { hidden, headSize } = heads;
    const { layer_types: kinds, residual_multiplier: residual } = c;
    checkLayers('layer_types', kinds, c.num_hidden_layers);
    const rotates = c.position_embedding_type === 'rope';
    const rotate = rotates ? rotary(declare, readRotation(c, { headSize, base: 1e4 })) : undefined;
    return decoder(declare, c, {
      embeddingScale: c.embedding_multiplier,
      logitScale: 1 / c.logits_scaling,
      norm: (name) => rmsNorm(declare, name, hidden, c.rms_norm_eps),
      attention: (prefix, l) =>
        kinds[l] === 'mamba' || kinds[l] === 'linear_attention'
          ? recurrence(c, declare, prefix.replace('self_attn', 'mamba'))
          : groupedQueryAttention(declare, prefix, {
              ...heads,
              rotate,
              bias: c.attention_bias,
              outputBias: c.attention_bias,
              scale: c.attention_multiplier,
              outputScale: residual,
            }),
      feedForward: (layer) => ({
        dense: scaled(
          fusedGatedFeedForward(declare, `${layer}.shared_mlp`, hidden, c.shared_intermediate_size),
          residual,
        ),
        moe: mixtureOfExperts(declare, {
          hidden,
          width: c.intermediate_size,
          count: c.num_local_experts,
          router: softmaxOverChosen(c.num_experts_per_tok, { scale: residual }),
          gate: `${layer}.block_sparse_moe.router.layer.weight`,
          matrices: fusedExperts(
            `${layer}.block_sparse_moe.input_linear.weight`,
            `${layer}.block_sparse_moe.output_linear.weight`,
            c.intermediate_size,
          ),
        }),
      }),
    });
  },
};

function recurrence(c: Config, declare: Declarations, prefix: string) {
  const { hidden_size: hidden, mamba_n_heads: heads } = c;
  const inner = c.mamba_expand * hidden;
  const headSize = c.mamba_d_head === 'auto' ? inner / heads : c.mamba_d_head;
  refuseUnless(headSize * heads === inner, 'mamba_n_heads', `times mamba_d_head is not mamba_expand · ${hidden}`);
  return mamba2(declare, prefix, {
    hidden,
    heads,
    headSize,
    stateSize: c.mamba_d_state,
    groups: c.mamba_n_groups,
    kernel: c.mamba_d_conv,
    convolutionBias: c.mamba_conv_bias,
    bias: c.mamba_proj_bias,
    normGroups: 1,
    epsilon: c.rms_norm_eps,
    outputScale: c.residual_multiplier,
    keys: { stateSize: 'mamba_d_state', headSize: 'mamba_d_head', groups: 'mamba_n_groups' },
  });
}
