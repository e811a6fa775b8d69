import { z } from 'zod';
import type { ExpertMatrix } from '../experts/spec.js';
import { groupedQueryAttention } from './blocks/attention.js';
import { decoder } from './blocks/decoder.js';
import { type MoeOptions, mixtureOfExperts } from './blocks/moe.js';
import { rmsNorm } from './blocks/norm.js';
import { rotary } from './blocks/rotary.js';
import { decoderFields, headsOf, readConfig, refuseUnless, size } from './config.js';
import { slidingFields, slidingWindows } from './layer-kinds.js';
import type { Family } from './model.js';
import { readRotation, ropeFields } from './rope.js';
import { softmaxOverChosen } from './router.js';

const schema = z.object({
  ...decoderFields,
  ...ropeFields,
  intermediate_size: size,
  num_local_experts: size,
  num_experts_per_tok: size,
  attention_bias: z.boolean().default(true),
  ...slidingFields,
  sliding_window: size.default(128),
  swiglu_limit: z.literal(7).default(7),
  quantization_config: z.object({ quant_method: z.literal('mxfp4') }).nullish(),
});

/** gpt-oss (arXiv 2508.10925). Reference: transformers, models/gpt_oss. */
export const gptOss: Family = {
  modelType: 'gpt_oss',
  describe(config, declare) {
    const c = readConfig(schema, config);
    const heads = headsOf(c);
    const { hidden, headSize } = heads;
    const width = c.intermediate_size;
    const rotate = rotary(declare, readRotation(c, { headSize, base: 150_000 }));
    const packing = c.quantization_config?.quant_method && 'together';
    if (packing) refuseUnless(hidden % 32 === 0 && width % 32 === 0, 'intermediate_size', 'is no multiple of 32');
    const window = slidingWindows(c, (l) => l % 2 === 0);
    return decoder(declare, c, {
      norm: (name) => rmsNorm(declare, name, hidden, c.rms_norm_eps),
      attention: (prefix, l) =>
        groupedQueryAttention(declare, prefix, {
          ...heads,
          rotate,
          bias: c.attention_bias,
          outputBias: c.attention_bias,
          window: window(l),
          sinks: 'sinks',
        }),
      feedForward: (layer) => {
        const mlp = `${layer}.mlp`;
        const bias = declare.hostVector(`${mlp}.router.bias`, c.num_local_experts);
        return {
          moe: mixtureOfExperts(declare, {
            hidden,
            width,
            count: c.num_local_experts,
            router: softmaxOverChosen(c.num_experts_per_tok, { bias }),
            gate: `${mlp}.router.weight`,
            activation: 'swiglu-clamped',
            matrices: interleavedExperts(`${mlp}.experts`, width, '', { packing, transposed: packing === undefined }),
            biases: interleavedExperts(`${mlp}.experts`, width, '_bias', {}),
          }),
        };
      },
    });
  },
};

/** Experts stored as two tensors, the first of which has gate in its even rows and up in its odd ones. */
function interleavedExperts(
  prefix: string,
  width: number,
  suffix: string,
  form: Pick<ExpertMatrix, 'packing' | 'transposed'>,
): MoeOptions['matrices'] {
  const both = `${prefix}.gate_up_proj${suffix}`;
  return (index) => ({
    gate: { name: both, index, rows: { from: 0, of: 2 * width, step: 2 }, ...form },
    up: { name: both, index, rows: { from: 1, of: 2 * width, step: 2 }, ...form },
    down: { name: `${prefix}.down_proj${suffix}`, index, ...form },
  });
}
