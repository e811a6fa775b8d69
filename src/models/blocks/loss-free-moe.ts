import { z } from 'zod';
import { size } from '../config.js';
import type { LayerSpec } from '../model.js';
import type { Declarations } from '../parameters.js';
import { expertGroups, type ScoreRouterOptions, scoreRouter } from '../router-scores.js';
import { feedForward, gatedFeedForward } from './feed-forward.js';
import { type Latent, mergeFromLatent, mixtureOfExperts, separateExperts, separateUngatedExperts } from './moe.js';

/** The keys of config.json for experts balanced without an auxiliary loss, as DeepSeek-V3 and its heirs name them. */
export const lossFreeFields = {
  moe_intermediate_size: size,
  num_experts_per_tok: size,
  topk_method: z.literal('noaux_tc').nullish(),
  scoring_func: z.literal('sigmoid').nullish(),
  n_group: size.default(1),
  topk_group: size.default(1),
  norm_topk_prob: z.boolean().default(true),
  routed_scaling_factor: z.number().default(1),
};

type LossFreeConfig = z.infer<z.ZodObject<typeof lossFreeFields>> & { hidden_size: number };

/** What such a config says of the experts. @throws FiddlerError `unsupported` */
export function lossFreeOptions(c: LossFreeConfig, counts: { experts: number; shared: number }): LossFreeOptions {
  const [width, chosen] = [c.moe_intermediate_size, c.num_experts_per_tok];
  return {
    hidden: c.hidden_size,
    width,
    count: counts.experts,
    chosen,
    shared: counts.shared * width,
    groups: expertGroups('best two', { experts: counts.experts, chosen, count: c.n_group, kept: c.topk_group }),
    renormalise: c.norm_topk_prob ? { epsilon: 1e-20 } : undefined,
    scale: c.routed_scaling_factor,
  };
}

export interface LossFreeOptions extends Pick<ScoreRouterOptions, 'chosen' | 'groups' | 'renormalise' | 'scale'> {
  hidden: number;
  /** Inner width of an expert, and of the feed-forward that every token passes through beside them (0: there is none). */
  width: number;
  shared: number;
  count: number;
  /** What follows `${prefix}.`: the router's matrix, its correction, and the shared feed-forward. */
  names?: { gate?: string; correction?: string; shared?: string };
  /** What gate, up and down are called in `${prefix}.experts`. */
  projections?: Parameters<typeof separateExperts>[2];
  /** Experts, and what is beside them, are down(max(0, up(x))²). */
  ungated?: boolean;
  latent?: Latent;
}

/**
 * Experts weighed by the sigmoid of their logits and chosen by that plus a correction, which balances their load without
 * an auxiliary loss (arXiv 2408.15664; DeepSeek-V3, arXiv 2412.19437, section 2.1.2), beside shared ones.
 * @throws FiddlerError `unsupported`
 */
export function lossFreeExperts(
  declare: Declarations,
  prefix: string,
  { hidden, width, shared, count, names = {}, projections, ungated, latent, ...router }: LossFreeOptions,
): Pick<LayerSpec, 'dense' | 'moe' | 'merge'> {
  const { gate = 'gate.weight', correction = 'gate.e_score_correction_bias' } = names;
  const beside = `${prefix}.${names.shared ?? 'shared_experts'}`;
  const dense = () =>
    ungated
      ? feedForward(declare, { up: `${beside}.up_proj`, down: `${beside}.down_proj` }, hidden, shared, 'squaredRelu')
      : gatedFeedForward(declare, beside, hidden, shared);
  return {
    dense: shared > 0 ? dense() : undefined,
    merge: latent && mergeFromLatent(declare, latent, hidden),
    moe: mixtureOfExperts(declare, {
      hidden,
      latent,
      width,
      activation: ungated ? 'relu-squared' : undefined,
      count,
      router: scoreRouter({
        ...router,
        score: 'sigmoid',
        correction: declare.hostVector(`${prefix}.${correction}`, count),
      }),
      gate: `${prefix}.${gate}`,
      ...(ungated
        ? separateUngatedExperts(`${prefix}.experts`)
        : separateExperts(`${prefix}.experts`, width, projections)),
    }),
  };
}
