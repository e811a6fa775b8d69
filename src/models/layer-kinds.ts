import { z } from 'zod';
import { refuseUnless, size, unsupported } from './config.js';

/** Keys that say which layers have a dense feed-forward instead of experts: the first so many, or each by its kind. */
export const denseFields = {
  /** Published configs; newer ones have `mlp_layer_types`. */
  first_k_dense_replace: z.int().nonnegative().nullish(),
  mlp_layer_types: z.array(z.enum(['dense', 'sparse'])).nullish(),
};

/**
 * Whether layer `l` has a dense feed-forward.
 * @param first how many do where the config does not say; it must where this is undefined
 * @throws FiddlerError `unsupported`
 */
export function denseLayers(
  c: z.infer<z.ZodObject<typeof denseFields>> & { num_hidden_layers: number },
  first?: number,
): (l: number) => boolean {
  const { mlp_layer_types: kinds } = c;
  const leading = c.first_k_dense_replace ?? first;
  if (!kinds) {
    refuseUnless(leading !== undefined, 'first_k_dense_replace', 'is missing, and so is mlp_layer_types');
    return (l) => l < leading!;
  }
  checkLayers('mlp_layer_types', kinds, c.num_hidden_layers);
  return (l) => kinds[l] === 'dense';
}

/** Keys that say which layers look at the last `sliding_window` tokens only. */
export const slidingFields = {
  sliding_window: size.nullish(),
  layer_types: z.array(z.enum(['sliding_attention', 'full_attention'])).nullish(),
};

type SlidingConfig = z.infer<z.ZodObject<typeof slidingFields>> & { num_hidden_layers: number };

/**
 * The window of layer `l`, undefined where it looks at all tokens before.
 * @param slides which layers slide where the config does not list them
 * @throws FiddlerError `unsupported`
 */
export function slidingWindows(c: SlidingConfig, slides: (l: number) => boolean): (l: number) => number | undefined {
  const { layer_types: kinds, sliding_window: window } = c;
  if (kinds) checkLayers('layer_types', kinds, c.num_hidden_layers);
  const sliding = (l: number) => (kinds ? kinds[l] === 'sliding_attention' : slides(l));
  return (l) => {
    if (!sliding(l)) return undefined;
    return window ?? unsupported('sliding_window', 'is missing, but some layers have one');
  };
}

/** Keys that say which layers have linear attention, with a state instead of rows of the KV cache. */
export const linearAttentionFields = {
  layer_types: z.array(z.enum(['linear_attention', 'full_attention'])).nullish(),
  /** Where layers are not listed, each so many-th has full attention. */
  full_attention_interval: size.nullish(),
};

/** Whether layer `l` has linear attention; each fourth has full attention by default. @throws FiddlerError `unsupported` */
export function linearAttentionLayers(
  c: z.infer<z.ZodObject<typeof linearAttentionFields>> & { num_hidden_layers: number },
): (l: number) => boolean {
  const { layer_types: kinds, full_attention_interval: interval } = c;
  if (!kinds) return (l) => (l + 1) % (interval ?? 4) !== 0;
  checkLayers('layer_types', kinds, c.num_hidden_layers);
  return (l) => kinds[l] === 'linear_attention';
}

/** Refuses a list that does not have an entry for each layer. @throws FiddlerError `unsupported` */
export function checkLayers(key: string, list: readonly unknown[], layers: number): void {
  refuseUnless(list.length === layers, key, `has ${list.length} entries for ${layers} layers`);
}
