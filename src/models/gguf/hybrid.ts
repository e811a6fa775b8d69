import type { GgufKeys } from './keys.js';

/** `layer_types` of config.json where some layers have linear attention: they are listed, or each so many-th has not. */
export function linearLayers(keys: GgufKeys): string[] {
  const interval = keys.integer('full_attention_interval') ?? 4;
  const listed = keys.flags('attention.recurrent_layers');
  return Array.from({ length: keys.layers }, (_, l) => {
    const linear = listed ? listed[l] : (l + 1) % interval !== 0;
    return linear ? 'linear_attention' : 'full_attention';
  });
}
