import { z } from 'zod';
import { groupedQueryAttention } from './blocks/attention.js';
import { blockIndexer } from './blocks/block-indexer.js';
import { decoder } from './blocks/decoder.js';
import { gatedSharedExperts, gatedSharedFields } from './blocks/gated-shared-moe.js';
import { gatedHyperConnection, gatedStreamMean } from './blocks/hyper-connection.js';
import { ngramEmbedding } from './blocks/ngram-embedding.js';
import { rotary } from './blocks/rotary.js';
import { decoderFields, headsOf, readConfig, refuseUnless, size, unsupported } from './config.js';
import { checkLayers } from './layer-kinds.js';
import type { AttentionBlock, Family } from './model.js';
import { NESTED_NAMES, textConfig } from './nested.js';
import { Primes } from './ngrams.js';
import type { Declarations } from './parameters.js';
import { separateProjections } from './qwen3-5-moe.js';
import { deltaNetFields, deltaNetOf } from './qwen3-next.js';
import { readRotation, ropeFields } from './rope.js';

const token = z.int().nonnegative();
/** A hash that is no tensors, since a GGUF file has it in its metadata; JSON has no whole numbers beyond 2⁵³. */
const hashed = z.array(z.string().regex(/^-?\d{1,20}$/)).max(2 ** 14);
const schema = z.object({
  ...decoderFields,
  ...ropeFields,
  ...gatedSharedFields,
  ...deltaNetFields,
  norm_topk_prob: z.boolean().default(true),
  attention_bias: z.literal(false).default(false),
  layer_types: z.array(z.enum(['linear_attention', 'full_attention', 'qwen_sparse_attention'])),
  output_gate_type: z.enum(['sigmoid', 'silu']),
  hc_count: size.min(2).max(64),
  hc_lowrank: size,
  indexer_n_heads: size.max(1024),
  indexer_kv_heads: z.literal(1).default(1),
  indexer_head_dim: size,
  indexer_budget: size,
  indexer_compress_ratio: size,
  ple_layer_ids: z.array(size).default([]),
  ple_embed_dim: size.nullish(),
  ple_conv_kernel_size: size.min(2).max(16).default(4),
  ngram_size: size.min(2).max(16).default(3),
  heads_per_ngram: size.max(1024).default(8),
  ngram_vocab_size_base: size.max(2 ** 30).default(20_000_000),
  make_ngram_vocab_size_divisible_by: size.default(128),
  split_ngram_parts: size.max(4096).default(128),
  ngram_hash: z
    .object({ layer_multipliers: hashed, ngram_heads_offsets: hashed, ngram_heads_vocab_sizes: hashed })
    .optional(),
  eos_token_id: z.union([token, z.array(token).min(1)]).nullish(),
});

type Config = z.infer<typeof schema>;

/**
 * The text of Qwen3.8-Flash-Next: gated delta nets and attention to chosen blocks, between hyper-connections, with n-gram
 * embeddings in some layers. Reference: transformers, models/qwen4_exp.
 */
export const qwen4Exp: Family = {
  modelType: 'qwen4_exp',
  describe(config, declare) {
    const c = readConfig(schema, textConfig(config));
    const { hidden, ...heads } = headsOf(c);
    const { rms_norm_eps: epsilon, layer_types: kinds } = c;
    checkLayers('layer_types', kinds, c.num_hidden_layers);
    const factor = c.partial_rotary_factor ?? 0.25;
    const rotation = readRotation({ ...c, partial_rotary_factor: factor }, { ...heads, base: 1e7 });
    refuseUnless(
      c.indexer_head_dim >= rotation.dimensions,
      'indexer_head_dim',
      `is ${c.indexer_head_dim}, less than the ${rotation.dimensions} dimensions that are rotated`,
    );
    const rotate = rotary(declare, rotation);
    const model = decoder(declare, c, {
      names: NESTED_NAMES,
      norm: () => (_, x) => x, // connections normalise
      attention: (prefix, l) => {
        if (kinds[l] === 'linear_attention') {
          const linear = prefix.replace('self_attn', 'linear_attn');
          return deltaNetOf(c, declare, linear, separateProjections, c.output_gate_type);
        }
        return groupedQueryAttention(declare, prefix, {
          hidden,
          ...heads,
          rotate,
          norm: { over: 'head', epsilon, zeroCentred: true },
          outputGate: { per: 'element', by: 'sigmoid' },
          indexer: blockIndexer(declare, `${prefix}.indexer`, {
            hidden,
            heads: c.indexer_n_heads,
            headSize: c.indexer_head_dim,
            every: c.indexer_compress_ratio,
            budget: c.indexer_budget,
            epsilon,
            rotate,
          }),
        });
      },
      feedForward: (layer) => gatedSharedExperts(declare, `${layer}.mlp`, c),
    });
    const primes = new Primes(c.ngram_vocab_size_base);
    const connected = { hidden, streams: c.hc_count, rank: c.hc_lowrank, epsilon };
    const layers = model.layers.map((layer, l) => {
      const prefix = `${NESTED_NAMES.model}.layers.${l}`;
      const connection = (name: string) =>
        gatedHyperConnection(declare, `${prefix}.${name}_hyper_connection`, connected);
      const connections = { attention: connection('attn'), feedForward: connection('mlp') };
      return { ...layer, connections, injection: injectionOf(c, declare, prefix, l, primes) };
    });
    const norm = gatedStreamMean(declare, `${NESTED_NAMES.model}.hyper_connection_mixer`, connected);
    return { ...model, layers, norm, streams: { count: c.hc_count, weights: c.hc_count } };
  },
};

/** The n-gram embeddings of layer `l`, where it has some. @throws FiddlerError `unsupported` */
function injectionOf(
  c: Config,
  declare: Declarations,
  prefix: string,
  l: number,
  primes: Primes,
): AttentionBlock | undefined {
  const which = c.ple_layer_ids.indexOf(l + 1);
  if (which < 0) return undefined;
  const end = Array.isArray(c.eos_token_id) ? c.eos_token_id[0] : c.eos_token_id;
  const count = (c.ngram_size - 1) * c.heads_per_ngram;
  const width = (c.ple_embed_dim ?? c.hidden_size) / count;
  refuseUnless(Number.isInteger(width), 'ple_embed_dim', `is not a multiple of ${count} rows`);
  return ngramEmbedding(declare, `${prefix}.ple`, {
    hidden: c.hidden_size,
    streams: c.hc_count,
    kernel: c.ple_conv_kernel_size,
    epsilon: c.rms_norm_eps,
    ngrams: {
      longest: c.ngram_size,
      heads: c.heads_per_ngram,
      width,
      end: end ?? unsupported('eos_token_id', 'is missing, but n-grams end with it'),
      primes,
      primesBefore: which * count,
      shards: c.split_ngram_parts,
      multiple: c.make_ngram_vocab_size_divisible_by,
      hash: c.ngram_hash,
    },
  });
}
