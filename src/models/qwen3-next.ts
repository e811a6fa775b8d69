import { z } from 'zod';
import type { JsonObject } from '../weights/config.js';
import { groupedQueryAttention } from './blocks/attention.js';
import { type DecoderOptions, decoder } from './blocks/decoder.js';
import { gatedFeedForward } from './blocks/feed-forward.js';
import { type DeltaNetOptions, type DeltaNetProjections, gatedDeltaNet } from './blocks/gated-delta-net.js';
import { gatedSharedExperts, gatedSharedFields } from './blocks/gated-shared-moe.js';
import { rowsOfGroups } from './blocks/linear.js';
import { zeroCentredNorm } from './blocks/norm.js';
import { rotary } from './blocks/rotary.js';
import { decoderFields, headsOf, readConfig, size, sparseLayers, sparseStepFields, unsupported } from './config.js';
import { linearAttentionFields, linearAttentionLayers } from './layer-kinds.js';
import type { Block, Family, ModelSpec } from './model.js';
import type { Declarations } from './parameters.js';
import { readRotation, ropeFields } from './rope.js';

/** The keys of config.json for gated delta nets. */
export const deltaNetFields = {
  linear_conv_kernel_dim: size.min(2).max(16).default(4),
  linear_key_head_dim: size,
  linear_value_head_dim: size,
  linear_num_key_heads: size,
  linear_num_value_heads: size,
  /** Of files that hold heads of values so (see DeltaNetOptions). */
  linear_value_heads_tiled: z.boolean().default(false),
};

const schema = z.object({
  ...decoderFields,
  ...ropeFields,
  ...sparseStepFields,
  ...linearAttentionFields,
  ...gatedSharedFields,
  ...deltaNetFields,
  intermediate_size: size.optional(),
  norm_topk_prob: z.boolean().default(true),
  attention_bias: z.boolean().default(false),
  attn_output_gate: z.literal(true).default(true),
});

type Qwen3NextConfig = z.infer<typeof schema>;
export type DeltaNetConfig = z.infer<z.ZodObject<typeof deltaNetFields>> &
  Pick<Qwen3NextConfig, 'hidden_size' | 'rms_norm_eps'>;

/** Qwen3-Next: three layers of gated delta nets to one of gated attention. Reference: transformers, models/qwen3_next. */
export const qwen3Next: Family = {
  modelType: 'qwen3_next',
  describe: (config, declare) => describeQwen3Next(config, declare, { projections: packedByHeads }),
};

export interface Qwen3NextLayout {
  names?: DecoderOptions['names'];
  /** How a gated delta net's projections are stored, in tensors whose names begin with `prefix`. */
  projections(declare: Declarations, prefix: string, c: DeltaNetConfig): DeltaNetProjections;
}

export function describeQwen3Next(
  config: JsonObject,
  declare: Declarations,
  { names, projections }: Qwen3NextLayout,
): ModelSpec {
  const c = readConfig(schema, config);
  const { hidden, ...heads } = headsOf(c);
  const { rms_norm_eps: epsilon } = c;
  const rotation = readRotation(
    { ...c, partial_rotary_factor: c.partial_rotary_factor ?? 0.25 },
    { ...heads, base: 1e4 },
  );
  const rotate = rotary(declare, rotation);
  const [sparse, linear] = [sparseLayers(c), linearAttentionLayers(c)];
  return decoder(declare, c, {
    names,
    norm: (name) => zeroCentredNorm(declare, name, hidden, epsilon),
    attention: (prefix, l) => {
      if (linear(l)) return deltaNetOf(c, declare, prefix.replace('self_attn', 'linear_attn'), projections);
      return groupedQueryAttention(declare, prefix, {
        hidden,
        ...heads,
        rotate,
        bias: c.attention_bias,
        outputBias: c.attention_bias,
        norm: { over: 'head', epsilon, zeroCentred: true },
        outputGate: { per: 'element', by: 'sigmoid' },
      });
    },
    feedForward: (layer, l) => feedForwardOf(c, declare, `${layer}.mlp`, sparse(l)),
  });
}

export function deltaNetOf(
  c: DeltaNetConfig,
  declare: Declarations,
  prefix: string,
  projections: Qwen3NextLayout['projections'],
  gate?: DeltaNetOptions['gate'],
) {
  return gatedDeltaNet(declare, prefix, {
    hidden: c.hidden_size,
    heads: { keys: c.linear_num_key_heads, values: c.linear_num_value_heads },
    keySize: c.linear_key_head_dim,
    valueSize: c.linear_value_head_dim,
    kernel: c.linear_conv_kernel_dim,
    epsilon: c.rms_norm_eps,
    gate,
    project: projections(declare, prefix, c),
    tiled: c.linear_value_heads_tiled,
  });
}

function feedForwardOf(c: Qwen3NextConfig, declare: Declarations, mlp: string, sparse: boolean) {
  if (sparse) return gatedSharedExperts(declare, mlp, c);
  const width = c.intermediate_size ?? unsupported('intermediate_size', 'is missing, but some layers are dense');
  return { dense: gatedFeedForward(declare, mlp, c.hidden_size, width) };
}

/** Two matrices, whose rows are those of one head of the keys behind the other: [q | k | v… | z…] and [b… | a…]. */
function packedByHeads(declare: Declarations, prefix: string, c: DeltaNetConfig): DeltaNetProjections {
  const { linear_num_key_heads: count, linear_key_head_dim: key, linear_value_head_dim: value, hidden_size } = c;
  const each = c.linear_num_value_heads / count;
  const part = (name: string, widths: readonly number[], which: number, alone?: string): Block => {
    const rows = widths[which]!;
    const from = widths.slice(0, which).reduce((a, b) => a + b, 0);
    const all = count * widths.reduce((a, b) => a + b, 0);
    return rowsOfGroups(
      declare,
      `${prefix}.${name}`,
      all,
      hidden_size,
      { count, from, rows },
      alone && `${prefix}.${alone}`,
    );
  };
  const wide = [key, key, each * value, each * value];
  const qkvz = (which: number, alone: string) => part('in_proj_qkvz', wide, which, alone);
  const ba = (which: number) => part('in_proj_ba', [each, each], which);
  const [q, k, v] = [qkvz(0, 'q_proj'), qkvz(1, 'k_proj'), qkvz(2, 'v_proj')];
  return {
    qkv: (g, x) => g.concat(g.concat(q(g, x), k(g, x), 0), v(g, x), 0),
    z: qkvz(3, 'in_proj_z'),
    b: ba(0),
    a: ba(1),
  };
}
