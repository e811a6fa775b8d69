import { z } from 'zod';
import { groupedQueryAttention } from './blocks/attention.js';
import { decoder } from './blocks/decoder.js';
import { gatedFeedForward } from './blocks/feed-forward.js';
import { mixtureOfExperts, separateExperts } from './blocks/moe.js';
import { normedAttention, rmsNorm } from './blocks/norm.js';
import { rotary } from './blocks/rotary.js';
import { decoderFields, readConfig, refuseUnless, size } from './config.js';
import { slidingFields, slidingWindows } from './layer-kinds.js';
import type { Family, LayerSpec } from './model.js';
import { NESTED_NAMES, textConfig } from './nested.js';
import type { Declarations } from './parameters.js';
import { readRotation, ropeFields, ropeOfKind } from './rope.js';
import { softmaxOverChosen } from './router.js';

/** What the config may say of one layer alone. */
const ofLayer = z.strictObject({ head_dim: size.optional(), num_key_value_heads: size.optional() });

const { hidden_act: _, ...fields } = decoderFields;

const schema = z.object({
  ...fields,
  ...ropeFields,
  ...slidingFields,
  hidden_activation: z.literal('gelu_pytorch_tanh'),
  tie_word_embeddings: z.boolean().default(true),
  head_dim: size,
  num_key_value_heads: size,
  /** Published configs have these for layers that look at all tokens; newer ones say it of each layer. */
  global_head_dim: size.nullish(),
  num_global_key_value_heads: size.nullish(),
  per_layer_config: z.record(z.string(), ofLayer).nullish(),
  attention_k_eq_v: z.boolean().default(false),
  attention_bias: z.literal(false).default(false),
  enable_moe_block: z.literal(true),
  num_experts: size,
  top_k_experts: size,
  intermediate_size: size,
  moe_intermediate_size: size,
  final_logit_softcapping: z.number().positive().nullish(),
  num_kv_shared_layers: z.literal(0).default(0),
  hidden_size_per_layer_input: z.literal(0).nullish(),
  use_double_wide_mlp: z.literal(false).default(false),
  /** Tokens of a picture look at each other; those of a text do not. */
  use_bidirectional_attention: z.literal('vision').nullish(),
});

type Config = z.infer<typeof schema>;

/**
 * The text of Gemma 4 with experts: a dense feed-forward and routed experts side by side, each between norms of its own.
 * Reference: transformers, models/gemma4.
 */
export const gemma4: Family = {
  modelType: 'gemma4',
  describe(config, declare) {
    const c = readConfig(schema, textConfig(config));
    const { hidden_size: hidden, rms_norm_eps: epsilon } = c;
    const window = slidingWindows(c, (l) => (l + 1) % 6 !== 0 && l < c.num_hidden_layers - 1);
    const norm = (name: string) => rmsNorm(declare, name, hidden, epsilon);
    const attentionOf = attentions(c, declare, window);
    return decoder(declare, c, {
      names: NESTED_NAMES,
      norm,
      feedForwardNorm: 'pre_feedforward_layernorm_2',
      embeddingScale: bfloat16(Math.sqrt(hidden)),
      softcap: c.final_logit_softcapping ?? undefined,
      attention: (prefix, l) =>
        normedAttention(attentionOf(prefix, l), norm(prefix.replace('self_attn', 'post_attention_layernorm'))),
      feedForward: (layer) => ({ moe: expertsOf(c, declare, layer), merge: mergeOf(c, declare, layer) }),
    });
  },
};

/** Layers that look at all tokens have wider heads, and values that are their keys before these are normalised. */
function attentions(c: Config, declare: Declarations, window: (l: number) => number | undefined) {
  const { hidden_size: hidden, num_attention_heads: heads, rms_norm_eps: epsilon } = c;
  const sizesOf = (l: number) => {
    const own = c.per_layer_config?.[l] ?? {};
    const full = window(l) === undefined;
    return {
      headSize: own.head_dim ?? (full ? c.global_head_dim : undefined) ?? c.head_dim,
      kvHeads: own.num_key_value_heads ?? (full ? c.num_global_key_value_heads : undefined) ?? c.num_key_value_heads,
    };
  };
  const rotations = new Map<string, ReturnType<typeof rotary>>();
  const rotationOf = (l: number, headSize: number) => {
    const [kind, base] =
      window(l) === undefined ? (['full_attention', 1e6] as const) : (['sliding_attention', 1e4] as const);
    const key = `${kind} ${headSize}`;
    const known = rotations.get(key) ?? rotary(declare, readRotation(ropeOfKind(c, kind), { headSize, base }));
    rotations.set(key, known);
    return known;
  };
  for (const l of Object.keys(c.per_layer_config ?? {})) {
    refuseUnless(Number(l) < c.num_hidden_layers, `per_layer_config.${l}`, 'is for a layer that is not there');
  }
  return (prefix: string, l: number) => {
    const { headSize, kvHeads } = sizesOf(l);
    return groupedQueryAttention(declare, prefix, {
      hidden,
      heads,
      kvHeads,
      headSize,
      rotate: rotationOf(l, headSize),
      norm: { over: 'head', epsilon },
      valueNorm: { epsilon },
      valuesAreKeys: c.attention_k_eq_v && window(l) === undefined,
      scale: 1,
      window: window(l),
    });
  };
}

/** The router reads the state before the experts' norm, normalised by itself. */
function expertsOf(c: Config, declare: Declarations, layer: string): LayerSpec['moe'] {
  const { hidden_size: hidden, num_experts: count, moe_intermediate_size: width } = c;
  const scale = declare.vector(`${layer}.router.scale`, hidden);
  return {
    ...mixtureOfExperts(declare, {
      hidden,
      width,
      count,
      router: softmaxOverChosen(c.top_k_experts, {
        scales: declare.hostVector(`${layer}.router.per_expert_scale`, count),
      }),
      gate: `${layer}.router.proj.weight`,
      activation: 'gelu-tanh',
      ...separateExperts(`${layer}.experts`, width),
    }),
    routerNorm: (g, x) => g.scale(g.rmsNorm(x, scale.tensor, c.rms_norm_eps), hidden ** -0.5),
  };
}

/** x → (x + norm(norm₁(dense(x)) + norm₂(experts))) · scalar. */
function mergeOf(c: Config, declare: Declarations, layer: string): LayerSpec['merge'] {
  const { hidden_size: hidden } = c;
  const norm = (name: string) => rmsNorm(declare, `${layer}.${name}`, hidden, c.rms_norm_eps);
  const dense = gatedFeedForward(declare, `${layer}.mlp`, hidden, c.intermediate_size, 'geglu');
  const before = norm('pre_feedforward_layernorm');
  const [after, first, second] = ['', '_1', '_2'].map((suffix) => norm(`post_feedforward_layernorm${suffix}`));
  const scalar = declare.vector(`${layer}.layer_scalar`, 1);
  return {
    beside: (g, x) => first!(g, dense(g, before(g, x))),
    join: (g, x, sum, beside) => g.multiply(g.add(x, after!(g, g.add(beside!, second!(g, sum)))), scalar.tensor),
  };
}

/** The nearest number of that type, in which the reference holds the factor of embeddings. */
function bfloat16(value: number): number {
  const bits = new Uint32Array(Float32Array.of(value).buffer)[0]!;
  const rounded = (bits + 0x7fff + ((bits >>> 16) & 1)) & 0xffff0000;
  return new Float32Array(Uint32Array.of(rounded).buffer)[0]!;
}
