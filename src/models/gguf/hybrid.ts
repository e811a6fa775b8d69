import type { Undo } from './architecture.js';
import type { GgufKeys } from './keys.js';
import { decayLogOf } from './undo.js';

/** `layer_types` of config.json where some layers have linear attention: they are listed, or each so many-th has not. */
export function linearLayers(keys: GgufKeys): string[] {
  const interval = keys.integer('full_attention_interval') ?? 4;
  const listed = keys.flags('attention.recurrent_layers');
  return Array.from({ length: keys.layers }, (_, l) => {
    const linear = listed ? listed[l] : (l + 1) % interval !== 0;
    return linear ? 'linear_attention' : 'full_attention';
  });
}

/** Names of the tensors of Mamba-2, by what is before them in published names; and what the converter did to them. */
export function mamba2Names(block: string): { names: Record<string, string>; undo: Record<string, Undo> } {
  return {
    names: {
      [`${block}.in_proj`]: 'ssm_in',
      [`${block}.conv1d`]: 'ssm_conv1d',
      [`${block}.A_log`]: 'ssm_a',
      [`${block}.D`]: 'ssm_d',
      [`${block}.dt_bias`]: 'ssm_dt.bias',
      [`${block}.norm`]: 'ssm_norm',
      [`${block}.out_proj`]: 'ssm_out',
    },
    undo: { [`${block}.A_log`]: decayLogOf },
  };
}

/** What a file says of Mamba-2. @param layer one that has it */
export function mamba2Sizes(keys: GgufKeys, layer: number) {
  const heads = keys.required('ssm.time_step_rank');
  return {
    heads,
    headSize: keys.required('ssm.inner_size') / heads,
    stateSize: keys.required('ssm.state_size'),
    groups: keys.required('ssm.group_count'),
    kernel: keys.required('ssm.conv_kernel'),
    biased: keys.has(`blk.${layer}.ssm_conv1d.bias`),
  };
}
