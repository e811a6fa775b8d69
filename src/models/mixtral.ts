import { z } from 'zod';
import { validate } from '../weights/config.js';
import { groupedQueryAttention } from './blocks/attention.js';
import { rmsNorm } from './blocks/norm.js';
import type { Family } from './model.js';
import { softmaxOverChosen } from './router.js';

const size = z.int().positive();

const schema = z.object({
  vocab_size: size,
  hidden_size: size,
  intermediate_size: size,
  num_hidden_layers: size,
  num_attention_heads: size,
  num_key_value_heads: size,
  head_dim: size.nullish(),
  hidden_act: z.literal('silu'),
  max_position_embeddings: size,
  rms_norm_eps: z.number().positive(),
  rope_theta: z.number().positive().optional(),
  rope_scaling: z.null().optional(),
  rope_parameters: z.object({ rope_type: z.literal('default'), rope_theta: z.number().positive() }).optional(),
  num_experts_per_tok: size,
  num_local_experts: size,
  sliding_window: size.nullish(),
  tie_word_embeddings: z.boolean().default(false),
});

/** Mixtral of Experts (arXiv 2401.04088). Reference: transformers, models/mixtral. */
export const mixtral: Family = {
  modelType: 'mixtral',
  describe(config, declare) {
    const c = validate(schema, config, 'config.json');
    const d = c.hidden_size;
    const headSize = c.head_dim ?? d / c.num_attention_heads;
    const rope = { dimensions: headSize, interleaved: false, base: c.rope_parameters?.rope_theta ?? c.rope_theta ?? 1e6 };
    const embedding = 'model.embed_tokens.weight';
    return {
      vocabulary: c.vocab_size,
      hidden: d,
      context: c.max_position_embeddings,
      embedding: { name: embedding },
      layers: Array.from({ length: c.num_hidden_layers }, (_, l) => {
        const layer = `model.layers.${l}`;
        const moe = `${layer}.block_sparse_moe`;
        return {
          attentionNorm: rmsNorm(declare, `${layer}.input_layernorm.weight`, d, c.rms_norm_eps),
          attention: groupedQueryAttention(declare, `${layer}.self_attn`, {
            hidden: d,
            heads: c.num_attention_heads,
            kvHeads: c.num_key_value_heads,
            headSize,
            rope,
            window: c.sliding_window ?? undefined,
          }),
          feedForwardNorm: rmsNorm(declare, `${layer}.post_attention_layernorm.weight`, d, c.rms_norm_eps),
          moe: {
            gate: declare.exactMatrix(`${moe}.gate.weight`, c.num_local_experts, d),
            router: softmaxOverChosen(c.num_experts_per_tok),
            experts: {
              count: c.num_local_experts,
              chosen: c.num_experts_per_tok,
              hidden: d,
              width: c.intermediate_size,
              activation: 'silu',
              matrices: (e) => ({
                gate: { name: `${moe}.experts.${e}.w1.weight` },
                up: { name: `${moe}.experts.${e}.w3.weight` },
                down: { name: `${moe}.experts.${e}.w2.weight` },
              }),
            },
          },
        };
      }),
      norm: rmsNorm(declare, 'model.norm.weight', d, c.rms_norm_eps),
      head: declare.matrix(c.tie_word_embeddings ? embedding : 'lm_head.weight', c.vocab_size, d),
    };
  },
};
