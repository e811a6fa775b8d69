import { z } from 'zod';
import { groupedQueryAttention } from './blocks/attention.js';
import { decoder } from './blocks/decoder.js';
import { gatedFeedForward } from './blocks/feed-forward.js';
import { scaled } from './blocks/linear.js';
import { mixtureOfExperts, separateExperts } from './blocks/moe.js';
import { layerNorm, rmsNorm } from './blocks/norm.js';
import { rotary } from './blocks/rotary.js';
import { decoderFields, headsOf, readConfig, refuseUnless, size } from './config.js';
import { denseFields, denseLayers, slidingFields, slidingWindows } from './layer-kinds.js';
import type { Family } from './model.js';
import { readRotation, ropeFields } from './rope.js';
import { softmaxOverChosen } from './router.js';
import { scoreRouter } from './router-scores.js';

const schema = z.object({
  ...decoderFields,
  ...ropeFields,
  ...denseFields,
  ...slidingFields,
  /** Norms are layer norms without bias where this is missing. */
  rms_norm_eps: z.number().positive().nullish(),
  layer_norm_eps: z.number().positive().default(1e-5),
  tie_word_embeddings: z.boolean().default(true),
  sliding_window_pattern: size.default(4),
  intermediate_size: size,
  prefix_dense_intermediate_size: size.nullish(),
  prefix_dense_sliding_window_pattern: size.default(1),
  num_experts: size,
  num_experts_per_tok: size,
  num_shared_experts: z.int().nonnegative().default(0),
  shared_expert_combination_strategy: z.enum(['average', 'sum']).default('average'),
  expert_selection_fn: z.enum(['softmax', 'sigmoid']),
  norm_topk_prob: z.boolean().default(false),
  logit_scale: z.number().default(1),
  attention_bias: z.boolean().default(false),
  use_qk_norm: z.literal(false).nullish(),
  use_parallel_block: z.literal(true).nullish(),
  use_gated_activation: z.literal(true).nullish(),
  rotary_pct: z.literal(1).nullish(),
});

type Config = z.infer<typeof schema>;

/**
 * Command A+ and North (Cohere): one norm feeds attention and experts. Layers that look at all tokens know no positions,
 * but for dense ones before the others. Reference: transformers, models/cohere2_moe.
 */
export const cohere2Moe: Family = {
  modelType: 'cohere2_moe',
  describe(config, declare) {
    const c = readConfig(schema, config);
    const heads = headsOf(c);
    const { hidden, headSize } = heads;
    const rotate = rotary(declare, readRotation(c, { headSize, interleaved: true, base: 5e4 }));
    const [dense, window] = [denseLayers(c, 0), slidingWindows(c, (l) => (l + 1) % c.sliding_window_pattern !== 0)];
    const rotates = (l: number) => window(l) !== undefined || (dense(l) && c.prefix_dense_sliding_window_pattern === 1);
    const averages = c.num_shared_experts > 0 && c.shared_expert_combination_strategy === 'average';
    const share = averages ? 0.5 : 1;
    const { rms_norm_eps: epsilon, num_experts: count, intermediate_size: width } = c;
    return decoder(declare, c, {
      parallel: true,
      logitScale: c.logit_scale,
      norm: (name) =>
        epsilon ? rmsNorm(declare, name, hidden, epsilon) : layerNorm(declare, name, hidden, c.layer_norm_eps, false),
      attention: (prefix, l) =>
        groupedQueryAttention(declare, prefix, {
          ...heads,
          rotate: rotates(l) ? rotate : undefined,
          bias: c.attention_bias,
          outputBias: c.attention_bias,
          window: window(l),
        }),
      feedForward: (layer, l) => {
        const mlp = `${layer}.mlp`;
        if (dense(l)) return { dense: gatedFeedForward(declare, mlp, hidden, denseWidth(c)) };
        const shared = c.num_shared_experts * width;
        return {
          dense:
            shared > 0 ? scaled(gatedFeedForward(declare, `${mlp}.shared_experts`, hidden, shared), share) : undefined,
          moe: mixtureOfExperts(declare, {
            hidden,
            width,
            count,
            router: routerOf(c, share),
            gate: `${mlp}.gate.weight`,
            ...separateExperts(`${mlp}.experts`, width),
          }),
        };
      },
    });
  },
};

function routerOf(c: Config, scale: number) {
  const chosen = c.num_experts_per_tok;
  if (c.expert_selection_fn === 'softmax') return softmaxOverChosen(chosen, { scale });
  return scoreRouter({ chosen, score: 'sigmoid', renormalise: c.norm_topk_prob ? {} : undefined, scale });
}

/** @throws FiddlerError `unsupported` */
function denseWidth({ prefix_dense_intermediate_size: width }: Config): number {
  refuseUnless(typeof width === 'number', 'prefix_dense_intermediate_size', 'is missing, but some layers are dense');
  return width!;
}
