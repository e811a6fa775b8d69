import type { DeltaNetProjections } from './blocks/gated-delta-net.js';
import { linear } from './blocks/linear.js';
import type { Family } from './model.js';
import { NESTED_NAMES, textConfig } from './nested.js';
import type { Declarations } from './parameters.js';
import { type DeltaNetConfig, describeQwen3Next } from './qwen3-next.js';

/**
 * The text of Qwen3.5 and Qwen3.6 with experts: Qwen3-Next with projections of their own, and weights that are always
 * renormalised. Reference: transformers, models/qwen3_5_moe.
 */
export const qwen35Moe: Family = {
  modelType: 'qwen3_5_moe',
  describe: (config, declare) =>
    describeQwen3Next({ ...textConfig(config), norm_topk_prob: true }, declare, {
      names: NESTED_NAMES,
      projections: separateProjections,
    }),
};

/** A matrix for queries, keys and values, and one for each of the others. */
export function separateProjections(declare: Declarations, prefix: string, c: DeltaNetConfig): DeltaNetProjections {
  const [heads, values] = [c.linear_num_value_heads, c.linear_num_value_heads * c.linear_value_head_dim];
  const project = (name: string, out: number) => linear(declare, `${prefix}.${name}`, out, c.hidden_size);
  return {
    qkv: project('in_proj_qkv', 2 * c.linear_num_key_heads * c.linear_key_head_dim + values),
    z: project('in_proj_z', values),
    b: project('in_proj_b', heads),
    a: project('in_proj_a', heads),
  };
}
