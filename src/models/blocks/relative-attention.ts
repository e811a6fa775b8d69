import type { Tensor } from '../../native/ggml/tensor.js';
import type { AttentionBlock, Block, CrossAttention } from '../model.js';
import type { CacheRows, Declarations, RelativeBias } from '../parameters.js';
import { attend, byHeads, remember } from './attention.js';
import { linear } from './linear.js';

export interface AttentionSizes {
  hidden: number;
  heads: number;
  headSize: number;
}

/**
 * Attention that knows positions by biases of the distances only, with scores that are not scaled (T5, arXiv 1910.10683,
 * section 2.1). Projections are named `${prefix}.{q,k,v,o}`. Where the biases are bidirectional every token of the call
 * looks at every other, and nothing is cached.
 */
export function relativeAttention(
  declare: Declarations,
  prefix: string,
  sizes: AttentionSizes,
  bias: RelativeBias,
): AttentionBlock {
  const { headSize } = sizes;
  const { query, key, value, output } = projections(declare, prefix, sizes);
  const cache = () => (bias.bidirectional ? undefined : declare.cache(sizes.heads * headSize));
  const [keys, values] = [cache(), cache()];
  return (g, x, step) => {
    const [k, v] = [key(g, x), value(g, x)];
    const attended = attend(g, query(g, x), step, (group) => {
      const seen = (rows: Tensor, cached?: CacheRows) =>
        cached ? remember(g, cached, rows, group, headSize) : byHeads(g, group.rowsOf(rows), group.tokens, headSize);
      return { k: seen(k, keys), v: seen(v, values), mask: group.biasedMask(bias), scale: 1 };
    });
    return output(g, attended);
  };
}

/** Attention to an encoder's output, all of which every token sees; tensors as `relativeAttention`, without biases. */
export function crossAttention(declare: Declarations, prefix: string, sizes: AttentionSizes): CrossAttention {
  const { heads, headSize } = sizes;
  const { query, key, value, output } = projections(declare, prefix, sizes);
  const keys = declare.cache(heads * headSize);
  const values = declare.cache(heads * headSize);
  return {
    remember(g, encoded, positions, partOf) {
      g.compute(g.setRows(partOf(keys), key(g, encoded), positions));
      g.compute(g.setRows(partOf(values), value(g, encoded), positions));
    },
    attend(g, x, step) {
      const attended = attend(g, query(g, x), step, ({ source, partOf }) => {
        const seen = (cache: CacheRows) => byHeads(g, partOf(cache), source!.rows, headSize);
        return { k: seen(keys), v: seen(values), mask: source!.mask, scale: 1 };
      });
      return output(g, attended);
    },
  };
}

/** Queries [headSize, heads, n], keys and values [heads · headSize, n] of x [hidden, n], and what follows attention. */
function projections(declare: Declarations, prefix: string, { hidden, heads, headSize }: AttentionSizes) {
  const width = heads * headSize;
  const projection = (name: string) => linear(declare, `${prefix}.${name}`, width, hidden);
  const [flat, key, value] = [projection('q'), projection('k'), projection('v')];
  const query: Block = (g, x) => g.reshape(flat(g, x), headSize, heads, x.ne[1]);
  return { query, key, value, output: linear(declare, `${prefix}.o`, hidden, width) };
}
