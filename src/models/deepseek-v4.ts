import { z } from 'zod';
import { SILU_LIMIT } from '../experts/activations.js';
import { compressedAttention } from './blocks/compressed-attention.js';
import { decoderOf } from './blocks/decoder.js';
import { gatedFeedForward } from './blocks/feed-forward.js';
import { mixtureOfExperts, packedApart, separateExperts } from './blocks/moe.js';
import { rmsNorm } from './blocks/norm.js';
import { rotary } from './blocks/rotary.js';
import { CONNECTION_WEIGHTS, STREAMS, sinkhornConnection, streamSum } from './blocks/sinkhorn-connection.js';
import { decoderFields, readConfig, refuseUnless, size, unsupported } from './config.js';
import { checkLayers } from './layer-kinds.js';
import type { Family, MoeSpec } from './model.js';
import type { Declarations, HostIntegers } from './parameters.js';
import { type Rotation, readRotation, ropeFields, ropeOfKind } from './rope.js';
import { scoreRouter } from './router-scores.js';

const [SPARSE, HEAVY] = ['compressed_sparse_attention', 'heavily_compressed_attention'] as const;
/** Positions of a block, as published. */
const [SPARSE_RATE, HEAVY_RATE] = [4, 128];
/** Gate, up and down. */
const PROJECTIONS = ['w1', 'w3', 'w2'] as const;

const count = z.int().nonnegative();
const schema = z.object({
  ...decoderFields,
  ...ropeFields,
  num_key_value_heads: z.literal(1).default(1),
  head_dim: size,
  tie_word_embeddings: z.literal(false).default(false),
  attention_bias: z.literal(false).default(false),
  mlp_bias: z.literal(false).default(false),
  q_lora_rank: size,
  qk_rope_head_dim: size,
  o_groups: size,
  o_lora_rank: size,
  sliding_window: size,
  index_n_heads: size.max(4096),
  index_head_dim: size,
  index_topk: size,
  compress_rope_theta: z.number().positive().default(160_000),
  /** Published configs: of each layer, 0 where it only has the window, and of further ones that are left out. */
  compress_ratios: z.array(count).nullish(),
  /** Newer ones. */
  layer_types: z.array(z.enum(['sliding_attention', SPARSE, HEAVY])).nullish(),
  compress_rates: z.object({ [SPARSE]: size, [HEAVY]: size }).nullish(),
  /** Published configs; newer ones have `mlp_layer_types`. */
  num_hash_layers: count.nullish(),
  mlp_layer_types: z.array(z.enum(['hash_moe', 'moe'])).nullish(),
  hc_mult: z.literal(STREAMS),
  hc_sinkhorn_iters: size.max(100),
  hc_eps: z.number().positive(),
  moe_intermediate_size: size,
  n_routed_experts: size,
  n_shared_experts: z.literal(1),
  num_experts_per_tok: size,
  topk_method: z.literal('noaux_tc').nullish(),
  scoring_func: z.literal('sqrtsoftplus').default('sqrtsoftplus'),
  norm_topk_prob: z.literal(true).default(true),
  routed_scaling_factor: z.number().default(1),
  swiglu_limit: z.literal(SILU_LIMIT),
});

type Config = z.infer<typeof schema>;

/**
 * DeepSeek-V4: attention to a window and to compressed entries of what is before, between hyper-connections; the first
 * layers choose experts by tokens. Reference: transformers, models/deepseek_v4.
 */
export const deepseekV4: Family = {
  modelType: 'deepseek_v4',
  renamings: [
    ['.attn.kv_norm.', '.attn.norm.'],
    ['layers.', 'model.layers.'],
    ['hc_head_', 'model.hc_head.hc_'],
    ['embed.', 'model.embed_tokens.'],
    ['norm.', 'model.norm.'],
  ],
  describe(config, declare) {
    const c = readConfig(schema, config);
    const { hidden_size: hidden, rms_norm_eps: epsilon, hc_eps: divisorEpsilon } = c;
    const [ratios, hashes, rotations] = [layerRatios(c), hashLayers(c), rotationsOf(c)];
    const [plain, compressed] = [rotary(declare, rotations.main), rotary(declare, rotations.compress)];
    const connected = { hidden, epsilon, divisorEpsilon, iterations: c.hc_sinkhorn_iters };
    const norm = (name: string) => rmsNorm(declare, name, hidden, epsilon);
    const indexer = { heads: c.index_n_heads, headSize: c.index_head_dim, kept: c.index_topk };
    const model = decoderOf(
      declare,
      c,
      { names: { model: '', head: 'head' }, embedding: 'embed', norm },
      (layer, l) => {
        const { every, sparse } = ratios(l);
        return {
          attentionNorm: norm(`${layer}.attn_norm`),
          attention: compressedAttention(declare, `${layer}.attn`, {
            hidden,
            heads: c.num_attention_heads,
            headSize: c.head_dim,
            queryRank: c.q_lora_rank,
            groups: c.o_groups,
            groupRank: c.o_lora_rank,
            window: c.sliding_window,
            epsilon,
            rotate: every > 0 ? compressed : plain,
            entries: every > 0 ? { every, indexer: sparse ? indexer : undefined } : undefined,
          }),
          feedForwardNorm: norm(`${layer}.ffn_norm`),
          dense: gatedFeedForward(
            declare,
            `${layer}.ffn.shared_experts`,
            hidden,
            c.moe_intermediate_size,
            (g, gate, up) => g.limitedSwiglu(gate, up, SILU_LIMIT),
            PROJECTIONS,
          ),
          moe: expertsOf(c, declare, `${layer}.ffn`, hashes(l)),
          connections: {
            attention: sinkhornConnection(declare, `${layer}.hc_attn`, connected),
            feedForward: sinkhornConnection(declare, `${layer}.hc_ffn`, connected),
          },
        };
      },
    );
    return {
      ...model,
      norm: streamSum(declare, 'hc_head', connected, model.norm),
      streams: { count: STREAMS, weights: CONNECTION_WEIGHTS },
    };
  },
};

function expertsOf(c: Config, declare: Declarations, prefix: string, hashed: boolean): MoeSpec {
  const [experts, chosen, width] = [c.n_routed_experts, c.num_experts_per_tok, c.moe_intermediate_size];
  refuseUnless(chosen <= experts, 'num_experts_per_tok', `is ${chosen}, but there are only ${experts} experts`);
  const { matrices, alternatives } = separateExperts(`${prefix}.experts`, width, PROJECTIONS);
  const table = hashed ? expertTable(declare, `${prefix}.gate.tid2eid`, c) : undefined;
  return mixtureOfExperts(declare, {
    hidden: c.hidden_size,
    width,
    count: experts,
    activation: 'silu-limited',
    router: scoreRouter({
      chosen,
      score: 'root softplus',
      correction: hashed ? undefined : declare.hostVector(`${prefix}.gate.bias`, experts),
      renormalise: { epsilon: 1e-20 },
      scale: c.routed_scaling_factor,
      table,
    }),
    gate: `${prefix}.gate.weight`,
    matrices,
    alternatives: [packedApart(matrices), ...alternatives],
  });
}

/** The experts of each token [vocabulary, chosen]; neighbours in turn where there are no files. */
function expertTable(declare: Declarations, name: string, c: Config): HostIntegers {
  const [experts, chosen] = [c.n_routed_experts, c.num_experts_per_tok];
  return declare.integer(name, [c.vocab_size, chosen], (index) => index % experts, experts);
}

/**
 * Positions of a layer's blocks, 0 where it attends to the window only, and whether an indexer chooses of their entries.
 * @throws FiddlerError `unsupported`
 */
function layerRatios(c: Config): (l: number) => { every: number; sparse: boolean } {
  const { layer_types: kinds, compress_ratios: ratios, num_hidden_layers: layers } = c;
  if (kinds) {
    checkLayers('layer_types', kinds, layers);
    const rates = c.compress_rates ?? { [SPARSE]: SPARSE_RATE, [HEAVY]: HEAVY_RATE };
    return (l) => {
      const kind = kinds[l]!;
      return { every: kind === 'sliding_attention' ? 0 : rates[kind], sparse: kind === SPARSE };
    };
  }
  if (!ratios) unsupported('compress_ratios', 'is missing, and so is layer_types');
  refuseUnless(ratios.length >= layers, 'compress_ratios', `has ${ratios.length} entries for ${layers} layers`);
  const other = ratios.slice(0, layers).find((ratio) => ratio !== 0 && ratio !== SPARSE_RATE && ratio !== HEAVY_RATE);
  refuseUnless(other === undefined, 'compress_ratios', `has ${other}, not 0, ${SPARSE_RATE} or ${HEAVY_RATE}`);
  return (l) => ({ every: ratios[l]!, sparse: ratios[l] === SPARSE_RATE });
}

/** Whether layer `l` takes experts by its tokens. @throws FiddlerError `unsupported` */
function hashLayers({ mlp_layer_types: kinds, num_hash_layers: first, num_hidden_layers: layers }: Config) {
  if (kinds) checkLayers('mlp_layer_types', kinds, layers);
  else if (first === undefined || first === null)
    unsupported('num_hash_layers', 'is missing, and so is mlp_layer_types');
  return (l: number): boolean => (kinds ? kinds[l] === 'hash_moe' : l < first!);
}

/** How layers with a window only rotate, and how all others do, which alone may extend their context. @throws FiddlerError `unsupported` */
function rotationsOf(c: Config): Record<'main' | 'compress', Rotation> {
  const { head_dim: headSize, qk_rope_head_dim: rotated, index_head_dim: indexed, rope_parameters: newer } = c;
  refuseUnless(rotated <= headSize, 'qk_rope_head_dim', `is ${rotated}, more than a head has, ${headSize}`);
  refuseUnless(rotated <= indexed, 'index_head_dim', `is ${indexed}, less than the ${rotated} that are rotated`);
  const own = c.rope_scaling ?? undefined;
  const scaling = own && { ...own, attention_factor: own.attention_factor ?? 1 };
  const of = (kind: 'main' | 'compress', config: Config) => {
    const factored = { ...ropeOfKind(config, kind), partial_rotary_factor: rotated / headSize };
    return { ...readRotation(factored, { headSize, interleaved: true, base: 1e4 }), trailing: true };
  };
  return {
    main: of('main', newer ? c : { ...c, rope_scaling: undefined }),
    compress: of('compress', newer ? c : { ...c, rope_theta: c.compress_rope_theta, rope_scaling: scaling }),
  };
}
