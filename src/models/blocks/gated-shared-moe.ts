import { z } from 'zod';
import { size } from '../config.js';
import type { LayerSpec } from '../model.js';
import type { Declarations } from '../parameters.js';
import { scoreRouter } from '../router-scores.js';
import { gatedFeedForward, sigmoidGated } from './feed-forward.js';
import { mixtureOfExperts, separateExperts } from './moe.js';

/** The keys of config.json for such experts, as Qwen names them. */
export const gatedSharedFields = {
  moe_intermediate_size: size,
  shared_expert_intermediate_size: size,
  num_experts: size,
  num_experts_per_tok: size,
  norm_topk_prob: z.boolean(),
};

type GatedSharedConfig = z.infer<z.ZodObject<typeof gatedSharedFields>> & { hidden_size: number };

/**
 * Experts weighed by the softmax of their logits, beside one that is shared and that each token takes to its own degree
 * (Qwen1.5-MoE, Qwen2-MoE, arXiv 2407.10671). Tensors `${prefix}.{gate, experts, shared_expert, shared_expert_gate}`.
 * @throws FiddlerError `unsupported`
 */
export function gatedSharedExperts(
  declare: Declarations,
  prefix: string,
  c: GatedSharedConfig,
): Pick<LayerSpec, 'dense' | 'moe'> {
  const { hidden_size: hidden, moe_intermediate_size: width } = c;
  const shared = gatedFeedForward(declare, `${prefix}.shared_expert`, hidden, c.shared_expert_intermediate_size);
  return {
    dense: sigmoidGated(declare, `${prefix}.shared_expert_gate`, hidden, shared),
    moe: mixtureOfExperts(declare, {
      hidden,
      width,
      count: c.num_experts,
      router: scoreRouter({
        chosen: c.num_experts_per_tok,
        score: 'softmax',
        renormalise: c.norm_topk_prob ? {} : undefined,
      }),
      gate: `${prefix}.gate.weight`,
      ...separateExperts(`${prefix}.experts`, width),
    }),
  };
}
