import type { Graph, RopeParameters } from '../../ggml/graph.js';
import type { Tensor } from '../../ggml/tensor.js';
import type { AttentionBlock, Step } from '../model.js';
import type { CacheRows, Declarations } from '../parameters.js';

export interface GroupedQueryOptions {
  hidden: number;
  heads: number;
  /** Key and value heads; each serves heads / kvHeads query heads (arXiv 2305.13245). */
  kvHeads: number;
  headSize: number;
  rope: RopeParameters;
  /** Tokens look at most this far back. */
  window?: number;
}

/** Grouped-query attention with rotary positions; projections are named `${prefix}.{q,k,v,o}_proj.weight`. */
export function groupedQueryAttention(
  declare: Declarations,
  prefix: string,
  options: GroupedQueryOptions,
): AttentionBlock {
  const { hidden, heads, kvHeads, headSize, rope, window } = options;
  const query = declare.matrix(`${prefix}.q_proj.weight`, heads * headSize, hidden);
  const key = declare.matrix(`${prefix}.k_proj.weight`, kvHeads * headSize, hidden);
  const value = declare.matrix(`${prefix}.v_proj.weight`, kvHeads * headSize, hidden);
  const output = declare.matrix(`${prefix}.o_proj.weight`, hidden, heads * headSize);
  const keys = declare.cache(kvHeads * headSize);
  const values = declare.cache(kvHeads * headSize);
  if (window) declare.windows.add(window);

  return (g, x, step) => {
    const n = step.tokens;
    const split = (t: Tensor, count: number) => g.reshape(t, headSize, count, n);
    const q = g.rope(split(g.matmul(query.tensor, x), heads), step.positions, rope);
    const k = g.rope(split(g.matmul(key.tensor, x), kvHeads), step.positions, rope);
    const v = g.matmul(value.tensor, x);
    const past = {
      k: remember(g, keys, g.reshape(k, kvHeads * headSize, n), step, headSize),
      v: remember(g, values, v, step, headSize),
    };
    const mixed = attend(g, q, past.k, past.v, headSize ** -0.5, step, window);
    return g.matmul(output.tensor, mixed);
  };
}

/** Writes rows [width, n] into the cache and gives the part that attention reads: [headSize, cacheRows, heads]. */
export function remember(g: Graph, cache: CacheRows, rows: Tensor, step: Step, headSize: number): Tensor {
  const written = g.setRows(cache.tensor, rows, step.positions);
  const [element, row] = [written.strides[0], written.strides[1]];
  const heads = cache.width / headSize;
  return g.view(written, [headSize, step.cacheRows, heads, 1], 0, [element, row, headSize * element, row * cache.width]);
}

/**
 * softmax(q·kᵀ · scale + mask)·v: q [headSize, heads, n], k [headSize, rows, kvHeads], v [vSize, rows, kvHeads]
 * → [vSize · heads, n]; in one operation where the device has it.
 */
export function attend(
  g: Graph,
  q: Tensor,
  k: Tensor,
  v: Tensor,
  scale: number,
  step: Step,
  window?: number,
  sinks?: Tensor,
): Tensor {
  const width = v.ne[0] * q.ne[1];
  const mask = step.mask(window);
  const byHead = g.permute(q, [0, 2, 1, 3]);
  const flash = g.flashAttention(byHead, k, v, mask, scale, sinks);
  if (step.supports(flash)) return g.reshape(flash, width, step.tokens);
  const weights = g.softMax(g.matmul(k, byHead), mask, scale, sinks);
  const transposed = g.contiguous(g.permute(v, [1, 0, 2, 3]));
  const mixed = g.permute(g.matmul(transposed, weights), [0, 2, 1, 3]);
  return g.reshape(g.contiguous(mixed), width, step.tokens);
}
