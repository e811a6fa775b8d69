import { z } from 'zod';
import { groupedQueryAttention } from './blocks/attention.js';
import { decoderOf } from './blocks/decoder.js';
import { feedForward } from './blocks/feed-forward.js';
import { lossFreeExperts, lossFreeFields, lossFreeOptions } from './blocks/loss-free-moe.js';
import { mamba2, stepLimit } from './blocks/mamba2.js';
import { rmsNorm } from './blocks/norm.js';
import { decoderFields, headsOf, readConfig, refuseUnless, size } from './config.js';
import { checkLayers } from './layer-kinds.js';
import type { Family, LayerSpec } from './model.js';
import type { Declarations } from './parameters.js';

const { rms_norm_eps: _, hidden_act: __, num_hidden_layers: ___, ...fields } = decoderFields;

const schema = z.object({
  ...fields,
  ...lossFreeFields,
  num_hidden_layers: size.nullish(),
  /** Each layer's kind: published configs have a letter each, M, E, * or -, newer ones a list. */
  hybrid_override_pattern: z
    .string()
    .regex(/^[ME*-]+$/)
    .nullish(),
  layers_block_type: z
    .array(z.enum(['mamba', 'linear_attention', 'attention', 'full_attention', 'moe', 'mlp']))
    .nullish(),
  layer_norm_epsilon: z.number().positive(),
  attention_bias: z.boolean().default(false),
  sliding_window: z.literal(null).optional(),
  mlp_hidden_act: z.literal('relu2').default('relu2'),
  mlp_bias: z.literal(false).default(false),
  intermediate_size: size,
  n_routed_experts: size,
  n_shared_experts: z.literal(1).default(1),
  moe_shared_expert_intermediate_size: size,
  moe_latent_size: size.nullish(),
  mamba_num_heads: size,
  mamba_head_dim: size,
  mamba_hidden_act: z.literal('silu').default('silu'),
  mamba_proj_bias: z.literal(false).default(false),
  ssm_state_size: size,
  n_groups: size,
  conv_kernel: size.min(2).max(16).default(4),
  use_bias: z.literal(false).default(false),
  use_conv_bias: z.boolean().default(true),
  time_step_limit: stepLimit,
});

type Config = z.infer<typeof schema>;

const LETTERS = { M: 'mamba', E: 'moe', '*': 'attention', '-': 'mlp' } as const;

/**
 * Nemotron H with experts (NVIDIA, Nemotron 3, arXiv 2512.20848): each layer is Mamba-2, attention without positions,
 * experts or a dense feed-forward, and has one norm. Reference: transformers, models/nemotron_h.
 */
export const nemotronH: Family = {
  modelType: 'nemotron_h',
  describe(config, declare) {
    const c = readConfig(schema, config);
    const kinds = kindsOf(c);
    const decoderConfig = { ...c, num_hidden_layers: kinds.length };
    const norm = (name: string) => rmsNorm(declare, name, c.hidden_size, c.layer_norm_epsilon);
    const outside = {
      names: { model: 'backbone', head: 'lm_head' },
      embedding: 'embeddings',
      lastNorm: 'norm_f',
      norm,
    };
    return decoderOf(declare, decoderConfig, outside, (layer, l) => {
      const mixer = `${layer}.mixer`;
      const own = norm(`${layer}.norm`);
      switch (kinds[l]!) {
        case 'mamba':
        case 'linear_attention':
          return { attentionNorm: own, attention: recurrence(c, declare, mixer) };
        case 'attention':
        case 'full_attention':
          return { attentionNorm: own, attention: attentionOf(c, declare, mixer, kinds.length) };
        case 'moe':
          return { feedForwardNorm: own, ...expertsOf(c, declare, mixer) };
        case 'mlp':
          return { feedForwardNorm: own, dense: dense(c, declare, mixer) };
      }
    });
  },
};

/** @throws FiddlerError `unsupported` */
function kindsOf(c: Config) {
  const { layers_block_type: listed, hybrid_override_pattern: pattern, num_hidden_layers: layers } = c;
  const letters = pattern ? ([...pattern] as (keyof typeof LETTERS)[]) : undefined;
  const kinds = listed ?? letters?.map((letter) => LETTERS[letter]) ?? [];
  refuseUnless(kinds.length > 0, 'hybrid_override_pattern', 'is missing, and so is layers_block_type');
  checkLayers(listed ? 'layers_block_type' : 'hybrid_override_pattern', kinds, layers ?? kinds.length);
  return kinds;
}

function attentionOf(c: Config, declare: Declarations, mixer: string, layers: number) {
  return groupedQueryAttention(declare, mixer, {
    ...headsOf({ ...c, num_hidden_layers: layers }),
    bias: c.attention_bias,
    outputBias: c.attention_bias,
  });
}

function recurrence(c: Config, declare: Declarations, mixer: string) {
  return mamba2(declare, mixer, {
    hidden: c.hidden_size,
    heads: c.mamba_num_heads,
    headSize: c.mamba_head_dim,
    stateSize: c.ssm_state_size,
    groups: c.n_groups,
    kernel: c.conv_kernel,
    convolutionBias: c.use_conv_bias,
    bias: c.use_bias,
    normGroups: c.n_groups,
    epsilon: c.layer_norm_epsilon,
    keys: { stateSize: 'ssm_state_size', headSize: 'mamba_head_dim', groups: 'n_groups' },
  });
}

function expertsOf(c: Config, declare: Declarations, mixer: string): Pick<LayerSpec, 'dense' | 'moe' | 'merge'> {
  const { moe_latent_size: latent } = c;
  return lossFreeExperts(declare, mixer, {
    ...lossFreeOptions(c, { experts: c.n_routed_experts, shared: c.n_shared_experts }),
    shared: c.moe_shared_expert_intermediate_size,
    ungated: true,
    latent: latent ? { size: latent, to: `${mixer}.fc1_latent_proj`, from: `${mixer}.fc2_latent_proj` } : undefined,
  });
}

function dense(c: Config, declare: Declarations, mixer: string) {
  const names = { up: `${mixer}.up_proj`, down: `${mixer}.down_proj` };
  return feedForward(declare, names, c.hidden_size, c.intermediate_size, 'squaredRelu');
}
