import { z } from 'zod';
import { feedForward } from './blocks/feed-forward.js';
import { linear, scaled, tiedHead } from './blocks/linear.js';
import { mixtureOfExperts } from './blocks/moe.js';
import { rmsNorm } from './blocks/norm.js';
import { crossAttention, relativeAttention } from './blocks/relative-attention.js';
import { readConfig, refuseUnless, size } from './config.js';
import type { Family, LayerSpec, StackSpec } from './model.js';
import type { Declarations } from './parameters.js';
import { relativeBucket } from './relative-position.js';
import { scoreRouter } from './router-scores.js';

const count = z.int().nonnegative();
const token = z.int().nonnegative();

const schema = z.object({
  vocab_size: size,
  d_model: size,
  d_kv: size,
  d_ff: size,
  num_heads: size,
  num_layers: size,
  num_decoder_layers: size.nullish(),
  num_experts: size,
  expert_capacity: size.default(64),
  num_sparse_encoder_layers: count.default(3),
  num_sparse_decoder_layers: count.default(3),
  encoder_sparse_step: count.nullish(),
  decoder_sparse_step: count.nullish(),
  relative_attention_num_buckets: size.default(32),
  relative_attention_max_distance: size.default(128),
  layer_norm_epsilon: z.number().positive().default(1e-6),
  decoder_start_token_id: token,
  tie_word_embeddings: z.boolean().default(true),
  /** What the model was trained on. */
  n_positions: size.default(512),
  dense_act_fn: z.literal('relu').default('relu'),
  feed_forward_proj: z.literal('relu').nullish(),
  is_gated_act: z.literal(false).nullish(),
  is_encoder_decoder: z.literal(true).default(true),
  router_bias: z.literal(false).default(false),
  router_dtype: z.literal('float32').default('float32'),
});
type Config = z.infer<typeof schema>;

/** Switch Transformers (arXiv 2101.03961): T5 with sparse layers. Reference: transformers, models/switch_transformers. */
export const switchTransformers: Family = {
  modelType: 'switch_transformers',
  describe(config, declare) {
    const c = readConfig(schema, config);
    checkBuckets(c);
    const { num_layers: layers, num_decoder_layers: decoderLayers } = c;
    const encoder = stack(declare, c, 'encoder', layers);
    const decoder = stack(declare, c, 'decoder', decoderLayers ?? layers);
    const sparse = [...encoder.layers, ...decoder.layers].some(({ moe }) => moe);
    refuseUnless(sparse, 'num_sparse_encoder_layers', 'and num_sparse_decoder_layers leave no layer with experts');
    refuseUnless(c.decoder_start_token_id < c.vocab_size, 'decoder_start_token_id', 'is not in the vocabulary');
    const { vocab_size: vocabulary, d_model: hidden } = c;
    return {
      vocabulary,
      hidden,
      context: c.n_positions,
      embedding: { name: 'shared.weight' },
      encoder: { ...encoder, start: c.decoder_start_token_id },
      ...decoder,
      head: c.tie_word_embeddings
        ? scaled(tiedHead(declare, { embedding: 'shared', head: 'lm_head' }, vocabulary, hidden), hidden ** -0.5)
        : linear(declare, 'lm_head', vocabulary, hidden),
    };
  },
};

function checkBuckets({
  relative_attention_num_buckets: buckets,
  relative_attention_max_distance: farthest,
}: Config): void {
  refuseUnless(buckets % 4 === 0, 'relative_attention_num_buckets', `is ${buckets}, which is no multiple of 4`);
  const exact = buckets / 2;
  refuseUnless(farthest > exact, 'relative_attention_max_distance', `is ${farthest}, which is not above ${exact}`);
}

function stack(declare: Declarations, c: Config, name: 'encoder' | 'decoder', layers: number): StackSpec {
  const encodes = name === 'encoder';
  const { d_model: hidden, num_heads: heads, d_kv: headSize } = c;
  const sizes = { hidden, heads, headSize };
  const norm = (of: string) => rmsNorm(declare, of, hidden, c.layer_norm_epsilon);
  const bias = relativeBias(declare, c, `${name}.block.0.layer.0.SelfAttention`, encodes);
  const sparse = sparseLayers(c, name, layers);
  const layer = (l: number): LayerSpec => {
    const block = `${name}.block.${l}.layer`;
    const last = `${block}.${encodes ? 1 : 2}`;
    return {
      attentionNorm: norm(`${block}.0.layer_norm`),
      attention: relativeAttention(declare, `${block}.0.SelfAttention`, sizes, bias),
      cross: encodes
        ? undefined
        : { norm: norm(`${block}.1.layer_norm`), ...crossAttention(declare, `${block}.1.EncDecAttention`, sizes) },
      feedForwardNorm: norm(`${last}.layer_norm`),
      ...(sparse(l) ? { moe: experts(declare, c, `${last}.mlp`) } : { dense: dense(declare, c, `${last}.mlp`) }),
    };
  };
  return { layers: Array.from({ length: layers }, (_, l) => layer(l)), norm: norm(`${name}.final_layer_norm`) };
}

/** The first layer's, which all layers of a stack share. */
function relativeBias(declare: Declarations, c: Config, prefix: string, bidirectional: boolean) {
  const { num_heads: heads, relative_attention_num_buckets: buckets, relative_attention_max_distance: maxDistance } = c;
  const name = `${prefix}.relative_attention_bias.weight`;
  const table = declare.hostVector(name, buckets * heads, [buckets, heads]);
  const bucket = (distance: number) => relativeBucket(distance, { count: buckets, maxDistance, bidirectional });
  return declare.relativeBias(table, heads, bidirectional, bucket);
}

/** Every step-th layer, the second first; the step follows from their number where it is not given. */
function sparseLayers(c: Config, name: 'encoder' | 'decoder', layers: number): (l: number) => boolean {
  const number = c[`num_sparse_${name}_layers`];
  const step = c[`${name}_sparse_step`] ?? (number > 0 ? Math.floor(layers / number) : 0);
  return (l) => step === 1 || (step > 1 && l % step === 1);
}

function experts(declare: Declarations, c: Config, prefix: string) {
  const of = (e: number, projection: string) => ({ name: `${prefix}.experts.expert_${e}.${projection}.weight` });
  return mixtureOfExperts(declare, {
    hidden: c.d_model,
    width: c.d_ff,
    count: c.num_experts,
    router: scoreRouter({ chosen: 1, score: 'softmax' }),
    capacity: () => c.expert_capacity,
    gate: `${prefix}.router.classifier.weight`,
    matrices: (e) => ({ up: of(e, 'wi'), down: of(e, 'wo') }),
    activation: 'relu',
  });
}

function dense(declare: Declarations, { d_model: hidden, d_ff: width }: Config, prefix: string) {
  return feedForward(declare, { up: `${prefix}.wi`, down: `${prefix}.wo` }, hidden, width);
}
