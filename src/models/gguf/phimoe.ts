import type { GgufArchitecture } from './architecture.js';
import { decoderConfig } from './decoder-config.js';
import type { GgufKeys } from './keys.js';

export const phimoe: GgufArchitecture = {
  name: 'phimoe',
  ofConfig: ['rope_factors_short.weight', 'rope_factors_long.weight'],
  config: (keys) => ({
    ...decoderConfig(keys),
    model_type: 'phimoe',
    num_local_experts: keys.required('expert_count'),
    attention_bias: keys.attentionBias,
    lm_head_bias: keys.has('output.bias'),
    sliding_window: keys.integer('attention.sliding_window') || undefined,
    ...longRope(keys),
  }),
};

/** `short_mscale` and `long_mscale` of all published models; the converter writes what Phi-3 has in their place. */
const MAGNITUDE = 1.243163121016122;

/** LongRoPE's factors are tensors of the file. */
function longRope(keys: GgufKeys) {
  const [short, long] = ['short', 'long'].map((which) => keys.floats(`rope_factors_${which}.weight`));
  if (!short || !long) return {};
  const original = keys.required('rope.scaling.original_context_length');
  const written = keys.number('rope.scaling.attn_factor') ?? 1;
  const ofPhi3 = Math.sqrt(1 + Math.log(keys.required('context_length') / original) / Math.log(original));
  const scaling = {
    type: 'longrope',
    short_factor: short,
    long_factor: long,
    attention_factor: written === 1 || Math.abs(written - ofPhi3) < 1e-4 ? MAGNITUDE : written,
    original_max_position_embeddings: original,
  };
  return { rope_scaling: scaling };
}
