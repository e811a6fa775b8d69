import type { JsonObject } from '../../weights/config.js';
import type { GgufKeys } from './keys.js';

/**
 * Which layers look at the last tokens only, by a flag for each.
 * @param slides those that do where there is a window and no flags; the family's own by default
 */
export function slidingConfig(keys: GgufKeys, slides?: (l: number) => boolean): JsonObject {
  const window = keys.integer('attention.sliding_window') || undefined;
  const flags = keys.flags('attention.sliding_window_pattern')?.slice(0, keys.layers);
  const usual = window && slides ? Array.from({ length: keys.layers }, (_, l) => slides(l)) : undefined;
  return {
    sliding_window: window,
    layer_types: (flags ?? usual)?.map((flag) => (flag ? 'sliding_attention' : 'full_attention')),
  };
}
