import type { Graph } from '../../native/ggml/graph.js';
import { type Tensor, Type } from '../../native/ggml/tensor.js';
import { refuseUnless } from '../config.js';
import type { AttentionBlock, Block, Step, StepGroup } from '../model.js';
import type { CacheRows, Declarations } from '../parameters.js';
import { joinHeads, ordered, splitHeads } from './heads.js';
import type { Chosen, Indexer } from './indexer.js';
import { linear, linears, scaled } from './linear.js';
import { rmsNorm, zeroCentredNorm } from './norm.js';
import type { RotaryBlock } from './rotary.js';

export interface GroupedQueryOptions {
  hidden: number;
  heads: number;
  /** Key and value heads; each serves heads / kvHeads query heads (arXiv 2305.13245). */
  kvHeads: number;
  headSize: number;
  /** Size of a head's value, `headSize` by default. */
  valueSize?: number;
  /** Undefined where attention knows no positions. */
  rotate?: RotaryBlock;
  /** Query, key and value projections have biases; so has the output's. */
  bias?: boolean;
  outputBias?: boolean;
  /** Name behind `${prefix}.` of the output's projection, `o_proj` by default. */
  output?: string;
  /** RMS normalisation of queries and keys. */
  norm?: HeadNorm;
  /** Values are RMS-normalised, each head by itself and without a weight. */
  valueNorm?: { epsilon: number };
  /** Values are what keys are projected to. */
  valuesAreKeys?: boolean;
  /** Queries, keys and values are limited to ± this. */
  clip?: number;
  /** Factor of the scores, 1/√headSize by default. */
  scale?: number;
  /** Factors of values and of the result, 1 by default. */
  valueScale?: number;
  outputScale?: number;
  /** Has tokens attend to some of those before them. */
  indexer?: Indexer;
  /** What the heads' results are multiplied by before they are projected. */
  outputGate?: OutputGate;
  /** Tokens look at most this far back, themselves included. */
  window?: number;
  /** Name behind `${prefix}.` of a logit a head [heads], which joins each softmax and attends to nothing. */
  sinks?: string;
}

export interface HeadNorm {
  /** Each head by itself, or all of a token at once. */
  over: 'head' | 'width';
  epsilon: number;
  /** Heads are normalised behind their rotation. */
  rotated?: boolean;
  /** Weights are stored less 1. */
  zeroCentred?: boolean;
  /** What the norms are called behind `${prefix}.`: `q_norm` and `k_norm` by default. */
  names?: { q: string; k: string };
}

/** f(linear(x)), a factor for each head or each of its elements; x is what queries are projected from. */
export interface OutputGate {
  /** Undefined where `q_proj` gives it of each head, for each element, behind its query. */
  name?: string;
  per: 'head' | 'element';
  by: 'sigmoid' | 'softplus';
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
  const { hidden, heads, kvHeads, headSize, valueSize = headSize, window = 0 } = options;
  refuseUnless(heads % kvHeads === 0, 'num_key_value_heads', `is ${kvHeads}, which does not divide ${heads} heads`);
  const gated = options.outputGate !== undefined && options.outputGate.name === undefined;
  const project = projections(declare, prefix, options, gated);
  const query = asHeads(declare, prefix, 'q', heads, options);
  const key = asHeads(declare, prefix, 'k', kvHeads, options);
  const value = values(options);
  const gate = options.outputGate && outputGate(declare, prefix, options.outputGate, options);
  const output = scaled(
    linear(declare, `${prefix}.${options.output ?? 'o_proj'}`, hidden, heads * valueSize, options.outputBias),
    options.outputScale ?? 1,
  );
  const sinks = options.sinks ? declare.vector(`${prefix}.${options.sinks}`, heads) : undefined;
  const keys = declare.cache(kvHeads * headSize, window);
  const cachedValues = declare.cache(kvHeads * valueSize, window);
  declare.windows.add(window);

  return (g, x, step) => {
    const [projected, keyed, valued = keyed] = project(g, x) as [Tensor, Tensor, Tensor?];
    const read = gated ? splitHeads(g, projected, heads) : x;
    const q = query(g, gated ? halves(g, read, 0, rotatesNormalised(options.norm)) : projected, step);
    const k = joinHeads(g, key(g, keyed, step));
    const v = value(g, valued);
    const scale = options.scale ?? headSize ** -0.5;
    const choose = options.indexer?.(g, x, step);
    const mixed = attend(g, q, step, (group) => {
      const chosen = choose?.(group);
      return {
        k: remember(g, keys, k, group, headSize, chosen),
        v: remember(g, cachedValues, v, group, valueSize, chosen),
        mask: chosen?.mask ?? group.mask(window),
        scale,
        sinks: sinks?.tensor,
      };
    });
    return output(g, gate ? gate(g, mixed, read) : mixed);
  };
}

/** x [hidden, n] → of queries, keys and, unless `valuesAreKeys`, values what is projected: [out, n], whose rows may lie apart. */
function projections(
  declare: Declarations,
  prefix: string,
  { hidden, heads, kvHeads, headSize, valueSize = headSize, bias, norm, clip, valuesAreKeys }: GroupedQueryOptions,
  gated: boolean,
) {
  // CUDA normalises and rotates at once where the result does not lie over what was projected: that is kept.
  const kept = rotatesNormalised(norm);
  const all = [
    { name: `${prefix}.q_proj`, out: (gated ? 2 : 1) * heads * headSize, kept: kept && !gated },
    { name: `${prefix}.k_proj`, out: kvHeads * headSize, kept },
  ];
  // ggml clips a tensor where it lies: each needs its own, contiguous.
  const apart = clip !== undefined;
  if (!valuesAreKeys || apart) {
    all.push({ name: `${prefix}.${valuesAreKeys ? 'k' : 'v'}_proj`, out: kvHeads * valueSize, kept: false });
  }
  return linears(declare, all, hidden, { bias, apart });
}

/** Each head is normalised, and what comes of that rotated. */
function rotatesNormalised(norm?: HeadNorm): boolean {
  return norm?.over === 'head' && !norm.rotated;
}

/** Values as they are cached: [valueSize · kvHeads, n], of what is projected, whose rows may lie apart. */
function values({ kvHeads, clip, valueScale = 1, valueNorm }: GroupedQueryOptions): Block {
  const limit = limited(clip);
  const factored: Block = valueScale === 1 ? limit : (g, x) => g.scale(ordered(g, limit(g, x)), valueScale);
  if (!valueNorm) return factored;
  return (g, x) => joinHeads(g, g.rmsNorm(splitHeads(g, factored(g, x), kvHeads), undefined, valueNorm.epsilon));
}

/** Queries or keys as heads use them: what is projected [headSize · heads, n], whose rows may lie apart → [headSize, heads, n]. */
function asHeads(
  declare: Declarations,
  prefix: string,
  name: 'q' | 'k',
  heads: number,
  { headSize, norm, clip, rotate = (_, x) => x }: GroupedQueryOptions,
): (g: Graph, x: Tensor, step: Step) => Tensor {
  const split: Block = (g, x) => splitHeads(g, x, heads);
  const limit = limited(clip);
  if (!norm) return (g, x, step) => rotate(g, split(g, limit(g, x)), step);
  const size = norm.over === 'head' ? headSize : heads * headSize;
  const named = `${prefix}.${norm.names?.[name] ?? `${name}_norm`}`;
  const normal = (norm.zeroCentred ? zeroCentredNorm : rmsNorm)(declare, named, size, norm.epsilon);
  const normalise: Block = (g, x) => limit(g, normal(g, x));
  if (norm.rotated) return (g, x, step) => normalise(g, rotate(g, split(g, x), step));
  if (norm.over === 'head') return (g, x, step) => rotate(g, normalise(g, split(g, x)), step);
  return (g, x, step) => rotate(g, split(g, normalise(g, x)), step);
}

const gatePart: Block = (g, x) => halves(g, x, 1);

/** Of [2 · headSize, heads, n] the first half of each head, or the second: [headSize · heads, n]. */
function halves(g: Graph, x: Tensor, which: 0 | 1, kept = false): Tensor {
  const [size, heads, n] = [x.ne[0] / 2, x.ne[1], x.ne[2]];
  const half = g.contiguous(g.columns(x, which * size, size));
  return g.reshape(kept ? g.output(half) : half, size * heads, n);
}

/** Multiplies the heads' results [valueSize · heads, n] by what the gate makes of x [hidden, n]. */
function outputGate(
  declare: Declarations,
  prefix: string,
  { name, per, by }: OutputGate,
  { hidden, heads, headSize, valueSize = headSize }: GroupedQueryOptions,
): (g: Graph, mixed: Tensor, x: Tensor) => Tensor {
  const width = per === 'head' ? 1 : valueSize;
  const project = name === undefined ? gatePart : linear(declare, `${prefix}.${name}`, heads * width, hidden);
  return (g, mixed, x) => {
    const n = mixed.ne[1];
    const factors = g.reshape(g[by](project(g, x)), width, heads, n);
    return g.reshape(g.multiply(g.reshape(mixed, valueSize, heads, n), factors), valueSize * heads, n);
  };
}

/** Within ± `limit`, where there is one. */
function limited(limit?: number): Block {
  return (g, x) => (limit === undefined ? x : g.clamp(x, -limit, limit));
}

/** Writes a group's rows of [width, n] into the cache and gives its part of that: [width, rows, sequences]. */
export function remembered(g: Graph, cache: CacheRows, rows: Tensor, group: StepGroup): Tensor {
  return g.setRows(group.partOf(cache), group.rowsOf(rows), group.writtenOf(cache));
}

/**
 * Writes a group's rows of [width, n] into the cache and gives what its attention reads: [headSize, rows read, heads,
 * sequences].
 */
export function remember(
  g: Graph,
  cache: CacheRows,
  rows: Tensor,
  group: StepGroup,
  headSize: number,
  chosen?: Chosen,
): Tensor {
  const written = remembered(g, cache, rows, group);
  if (chosen?.gather) {
    const gathered = chosen.gather(written);
    return byHeads(g, gathered, gathered.ne[1], headSize);
  }
  const { from, count } = group.readOf(cache);
  return byHeads(g, written, count, headSize, from);
}

/** Some rows of a [width, …, sequences] as its heads have them: [headSize, rows, heads, sequences]. */
export function byHeads(g: Graph, a: Tensor, rows: number, headSize: number, from = 0): Tensor {
  const [width, , sequences] = a.ne;
  const [element, row, sequence] = a.strides;
  const sizes = [headSize, rows, width / headSize, sequences] as const;
  return g.view(a, [...sizes], from * row, [element, row, headSize * element, sequence]);
}

/** What a group's tokens attend to. */
export interface Attended {
  /** [headSize, rows, kvHeads, sequences]. */
  k: Tensor;
  /** [vSize, rows, kvHeads, sequences]. */
  v: Tensor;
  /** [rows, tokens, 1, sequences], or of each head its own: [rows, tokens, heads, sequences]. */
  mask: Tensor;
  scale: number;
  /** A column [heads] that joins each softmax. */
  sinks?: Tensor;
}

/** softmax(q·kᵀ · scale + mask)·v, each group by itself: q [headSize, heads, n] → [vSize · heads, n]. */
export function attend(g: Graph, q: Tensor, step: Step, seenBy: (group: StepGroup) => Attended): Tensor {
  const mixed = step.groups.map((group) => attendTo(g, group.headsOf(q), seenBy(group), step));
  return g.concatAll(mixed, 1);
}

/** q [headSize, heads, tokens, sequences] → [vSize · heads, tokens · sequences]; in one operation where the device has it for such a mask. */
function attendTo(g: Graph, q: Tensor, { k, v, mask, scale, sinks }: Attended, step: Step): Tensor {
  const [, heads, tokens, sequences] = q.ne;
  const width = v.ne[0] * heads;
  const byHead = g.permute(q, [0, 2, 1, 3]);
  if (mask.type === Type.F16) {
    const flash = g.flashAttention(byHead, k, v, mask, scale, sinks);
    if (step.supports(flash)) return g.reshape(flash, width, tokens * sequences);
  }
  // In order, because Vulkan rounds what is not to float16 before it multiplies.
  const keys = k.type === Type.F32 ? g.contiguous(k) : k;
  const weights = g.softMax(g.matmul(keys, g.contiguous(byHead)), mask, scale, sinks);
  const transposed = g.contiguous(g.permute(v, [1, 0, 2, 3]));
  const mixed = g.permute(g.matmul(transposed, weights), [0, 2, 1, 3]);
  return g.reshape(g.contiguous(mixed), width, tokens * sequences);
}
