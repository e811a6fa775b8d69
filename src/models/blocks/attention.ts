import type { Graph } from '../../ggml/graph.js';
import { type Tensor, Type } from '../../ggml/tensor.js';
import { refuseUnless } from '../config.js';
import type { AttentionBlock, Block, Step } from '../model.js';
import type { CacheRows, Declarations } from '../parameters.js';
import { linear, scaled } from './linear.js';
import { rmsNorm } from './norm.js';
import type { RotaryBlock } from './rotary.js';

export interface GroupedQueryOptions {
  hidden: number;
  heads: number;
  /** Key and value heads; each serves heads / kvHeads query heads (arXiv 2305.13245). */
  kvHeads: number;
  headSize: number;
  rotate: RotaryBlock;
  /** Query, key and value projections have biases; so has the output's. */
  bias?: boolean;
  outputBias?: boolean;
  /** RMS normalisation of queries and keys before they are rotated: each head by itself, or all of a token at once. */
  norm?: { over: 'head' | 'width'; epsilon: number };
  /** Queries, keys and values are limited to ± this. */
  clip?: number;
  /** Factor of the scores, 1/√headSize by default. */
  scale?: number;
  /** Factor of the result, 1 by default. */
  outputScale?: number;
  /** Tokens look at most this far back, themselves included. */
  window?: number;
  /** A logit a head, `${prefix}.sinks` [heads], joins each softmax and attends to nothing. */
  sinks?: boolean;
}

/**
 * Grouped-query attention with rotary positions; projections are named `${prefix}.{q,k,v,o}_proj`, norms
 * `${prefix}.{q,k}_norm`.
 * @throws FiddlerError `unsupported`
 */
export function groupedQueryAttention(
  declare: Declarations,
  prefix: string,
  options: GroupedQueryOptions,
): AttentionBlock {
  const { hidden, heads, kvHeads, headSize, rotate, bias, window } = options;
  refuseUnless(heads % kvHeads === 0, 'num_key_value_heads', `is ${kvHeads}, which does not divide ${heads} heads`);
  const query = projection(declare, prefix, 'q', heads, options);
  const key = projection(declare, prefix, 'k', kvHeads, options);
  const value = clipped(linear(declare, `${prefix}.v_proj`, kvHeads * headSize, hidden, bias), options.clip);
  const output = scaled(
    linear(declare, `${prefix}.o_proj`, hidden, heads * headSize, options.outputBias),
    options.outputScale ?? 1,
  );
  const sinks = options.sinks ? declare.vector(`${prefix}.sinks`, heads) : undefined;
  const keys = declare.cache(kvHeads * headSize);
  const values = declare.cache(kvHeads * headSize);
  declare.windows.add(window ?? 0);

  return (g, x, step) => {
    const q = rotate(g, query(g, x), step);
    const k = g.reshape(rotate(g, key(g, x), step), kvHeads * headSize, step.tokens);
    const past = {
      k: remember(g, keys, k, step, headSize),
      v: remember(g, values, value(g, x), step, headSize),
    };
    const scale = options.scale ?? headSize ** -0.5;
    return output(g, attend(g, q, past.k, past.v, step, { mask: step.mask(window), scale, sinks: sinks?.tensor }));
  };
}

/** Queries or keys as they are rotated: x [hidden, n] → [headSize, heads, n]. */
function projection(
  declare: Declarations,
  prefix: string,
  name: 'q' | 'k',
  heads: number,
  { hidden, headSize, bias, norm, clip }: GroupedQueryOptions,
): Block {
  const project = linear(declare, `${prefix}.${name}_proj`, heads * headSize, hidden, bias);
  const split: Block = (g, x) => g.reshape(x, headSize, heads, x.ne[1]);
  if (!norm) return (g, x) => split(g, clipped(project, clip)(g, x));
  const normed = `${prefix}.${name}_norm`;
  if (norm.over === 'head') {
    const normalise = rmsNorm(declare, normed, headSize, norm.epsilon);
    return (g, x) => clipped(normalise, clip)(g, split(g, project(g, x)));
  }
  const normalise = rmsNorm(declare, normed, heads * headSize, norm.epsilon);
  return (g, x) => split(g, clipped(normalise, clip)(g, project(g, x)));
}

function clipped(block: Block, limit?: number): Block {
  return limit === undefined ? block : (g, x) => g.clamp(block(g, x), -limit, limit);
}

/** Writes rows [width, n] into the cache and gives the part that attention reads: [headSize, cacheRows, heads]. */
export function remember(g: Graph, cache: CacheRows, rows: Tensor, step: Step, headSize: number): Tensor {
  return byHeads(g, g.setRows(cache.tensor, rows, step.positions), step.cacheRows, headSize);
}

/** The first `rows` of a [width, …] as its heads have them: [headSize, rows, heads]. */
export function byHeads(g: Graph, a: Tensor, rows: number, headSize: number): Tensor {
  const [width, heads] = [a.ne[0], a.ne[0] / headSize];
  const [element, row] = [a.strides[0], a.strides[1]];
  return g.view(a, [headSize, rows, heads, 1], 0, [element, row, headSize * element, row * width]);
}

export interface Scores {
  /** [rows, n], or of each head its own: [rows, n, heads]. */
  mask: Tensor;
  scale: number;
  /** A column [heads] that joins each softmax. */
  sinks?: Tensor;
}

/**
 * softmax(q·kᵀ · scale + mask)·v: q [headSize, heads, n], k [headSize, rows, kvHeads], v [vSize, rows, kvHeads]
 * → [vSize · heads, n]; in one operation where the device has it for such a mask.
 */
export function attend(g: Graph, q: Tensor, k: Tensor, v: Tensor, step: Step, { mask, scale, sinks }: Scores): Tensor {
  const width = v.ne[0] * q.ne[1];
  const byHead = g.permute(q, [0, 2, 1, 3]);
  if (mask.type === Type.F16) {
    const flash = g.flashAttention(byHead, k, v, mask, scale, sinks);
    if (step.supports(flash)) return g.reshape(flash, width, step.tokens);
  }
  // In order, because Vulkan rounds what is not to float16 before it multiplies.
  const keys = k.type === Type.F32 ? g.contiguous(k) : k;
  const weights = g.softMax(g.matmul(keys, g.contiguous(byHead)), mask, scale, sinks);
  const transposed = g.contiguous(g.permute(v, [1, 0, 2, 3]));
  const mixed = g.permute(g.matmul(transposed, weights), [0, 2, 1, 3]);
  return g.reshape(g.contiguous(mixed), width, step.tokens);
}
