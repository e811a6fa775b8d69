import { z } from 'zod';
import { groupedQueryAttention } from './blocks/attention.js';
import { decoder } from './blocks/decoder.js';
import { gatedFeedForward } from './blocks/feed-forward.js';
import { mixtureOfExperts, separateExperts } from './blocks/moe.js';
import { rmsNorm } from './blocks/norm.js';
import { rotary } from './blocks/rotary.js';
import { decoderFields, headsOf, readConfig, refuseUnless, size } from './config.js';
import type { Family } from './model.js';
import { type Rotation, readRotation, ropeFields } from './rope.js';
import { softmaxOverChosen } from './router.js';

/** One number for all layers, or one for each. */
const each = z.union([size, z.array(size).min(1)]);

const schema = z.object({
  ...decoderFields,
  ...ropeFields,
  intermediate_size: size,
  moe_intermediate_size: each.nullish(),
  num_experts: each,
  moe_topk: each,
  num_shared_expert: each.default(1),
  use_mixed_mlp_moe: z.literal(true).nullish(),
  use_qk_norm: z.literal(true).nullish(),
  use_cla: z.literal(false).nullish(),
  use_mla: z.literal(false).nullish(),
  use_rotary_pos_emb: z.literal(true).nullish(),
  position_embedding_xdrope: z.literal(false).nullish(),
  moe_layer_num_skipped: z.literal(0).nullish(),
  moe_drop_tokens: z.literal(false).nullish(),
  group_limited_greedy: z.literal(false).nullish(),
  norm_type: z.literal('rms').nullish(),
  mlp_bias: z.literal(false).nullish(),
  attention_bias: z.boolean().default(false),
});

type Config = z.infer<typeof schema>;

/** Hunyuan-A13B (Tencent, Hunyuan-A13B Technical Report). Reference: transformers, models/hunyuan_v1_moe. */
export const hunyuanV1Moe: Family = {
  modelType: 'hunyuan_v1_moe',
  describe(config, declare) {
    const c = readConfig(schema, config);
    const heads = headsOf(c);
    const { hidden, headSize } = heads;
    const rotate = rotary(declare, rotationOf(c, headSize));
    const width = same(c, 'moe_intermediate_size') ?? c.intermediate_size;
    const shared = same(c, 'num_shared_expert')! * width;
    return decoder(declare, c, {
      norm: (name) => rmsNorm(declare, name, hidden, c.rms_norm_eps),
      attention: (prefix) =>
        groupedQueryAttention(declare, prefix, {
          ...heads,
          rotate,
          bias: c.attention_bias,
          outputBias: c.attention_bias,
          norm: {
            over: 'head',
            epsilon: c.rms_norm_eps,
            rotated: true,
            names: { q: 'query_layernorm', k: 'key_layernorm' },
          },
        }),
      feedForward: (layer) => ({
        dense: gatedFeedForward(declare, `${layer}.mlp.shared_mlp`, hidden, shared),
        moe: mixtureOfExperts(declare, {
          hidden,
          width,
          count: same(c, 'num_experts')!,
          router: softmaxOverChosen(same(c, 'moe_topk')!),
          gate: `${layer}.mlp.gate.wg.weight`,
          ...separateExperts(`${layer}.mlp.experts`, width),
        }),
      }),
    });
  },
};

/** A number that is the same in all layers. @throws FiddlerError `unsupported` */
function same(
  c: Config,
  key: 'moe_intermediate_size' | 'num_experts' | 'moe_topk' | 'num_shared_expert',
): number | undefined {
  const values = [c[key] ?? []].flat();
  refuseUnless(
    values.every((value) => value === values[0]),
    key,
    'differs between layers',
  );
  return values[0];
}

/** NTK-aware scaling by a fixed factor `alpha`: the base grows by alpha^(d / (d − 2)), whatever the length. */
const byAlpha = z.object({ alpha: z.number().positive(), rope_theta: z.number().positive().nullish() });

function rotationOf(c: Config, headSize: number): Rotation {
  const scaled = byAlpha.safeParse(c.rope_parameters ?? c.rope_scaling);
  if (!scaled.success) return readRotation(c, { headSize, base: 1e4 });
  const base = scaled.data.rope_theta ?? c.rope_theta ?? 1e4;
  const theta = base * scaled.data.alpha ** (headSize / (headSize - 2));
  return readRotation({ ...c, rope_theta: theta, rope_parameters: null, rope_scaling: null }, { headSize, base });
}
