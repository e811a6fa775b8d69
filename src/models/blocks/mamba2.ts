import { z } from 'zod';
import type { Graph } from '../../native/ggml/graph.js';
import { contiguousStrides, type Extents, type Tensor } from '../../native/ggml/tensor.js';
import { MOST_SEQUENCES } from '../../options.js';
import { refuseUnless, unsupported } from '../config.js';
import type { AttentionBlock } from '../model.js';
import type { Declarations } from '../parameters.js';
import { causalConvolution, headsAt } from './causal-convolution.js';
import { linear, scaled } from './linear.js';

export interface Mamba2Options {
  hidden: number;
  heads: number;
  headSize: number;
  /** Numbers of the state for each element of a head. */
  stateSize: number;
  /** B and C are shared by heads / groups neighbouring heads. */
  groups: number;
  kernel: number;
  /** Biases of the convolution, and of both projections. */
  convolutionBias: boolean;
  bias: boolean;
  /** The result is RMS-normalised in so many parts. */
  normGroups: number;
  epsilon: number;
  /** Factor of the result, 1 by default. */
  outputScale?: number;
  /** What these sizes are called in config.json. */
  keys: { stateSize: string; headSize: string; groups: string };
}

/** `time_step_limit` of a config: [0, ∞], which limits nothing; transformers 5 writes ∞ as an object. */
export const stepLimit = z
  .tuple([
    z.literal(0),
    z.preprocess(
      (limit) => (limit === Number.POSITIVE_INFINITY ? 'Infinity' : ((limit as Written | null)?.__float__ ?? limit)),
      z.literal('Infinity'),
    ),
  ])
  .nullish();

interface Written {
  __float__?: string;
}

/** Sizes of a state that every device computes with, and what a head's size must be a multiple of there. */
const STATE_SIZES: readonly number[] = [128, 256];
const HEAD_STEP = 16;

/**
 * Mamba-2 (arXiv 2405.21060, section 7): of each head S ·= e^(−dt·e^A_log); S += dt·x·Bᵀ; y = S·C + D·x, and
 * output(norm(silu(z) · y)), with the rows [z; x; B; C; dt] of `${prefix}.in_proj`, of which x, B and C are convolved.
 * Tensors `${prefix}.{in_proj, conv1d, A_log, dt_bias, D, norm, out_proj}`.
 * @throws FiddlerError `unsupported`
 */
export function mamba2(declare: Declarations, prefix: string, options: Mamba2Options): AttentionBlock {
  const { hidden, heads, headSize, stateSize, groups, kernel, normGroups, epsilon } = options;
  const size = paddedState(options);
  const inner = heads * headSize;
  const shared = groups * stateSize;
  const channels = inner + 2 * shared;
  const project = linear(declare, `${prefix}.in_proj`, inner + channels + heads, hidden, options.bias);
  const convolution = { channels, kernel, bias: options.convolutionBias };
  const convolve = causalConvolution(declare, `${prefix}.conv1d`, convolution);
  const decayLog = declare.vector(`${prefix}.A_log`, heads);
  const stepBias = declare.vector(`${prefix}.dt_bias`, heads);
  const skip = declare.vector(`${prefix}.D`, heads);
  const norm = declare.vector(`${prefix}.norm.weight`, inner);
  const output = scaled(linear(declare, `${prefix}.out_proj`, hidden, inner, options.bias), options.outputScale ?? 1);
  const state = declare.state(size * inner);
  const numbers = declare.constant(Int32Array.from({ length: MOST_SEQUENCES }, (_, i) => i));

  return (g, x, step) => {
    const n = step.tokens;
    const all = project(g, x);
    const part = (first: number, width: number) => g.contiguous(g.columns(all, first, width));
    const mixed = part(inner, channels);
    const steps = g.add(part(inner + channels, heads), stepBias.tensor);
    const decay = g.reshape(g.scale(g.exp(decayLog.tensor), -1), 1, heads);
    const results = step.groups.map((group) => {
      const { tokens, sequences } = group;
      const rows = g.silu(convolve(g, mixed, group, step));
      const read = headsAt(g, rows, 0, headSize, heads);
      const [b, c] = [inner, inner + shared].map((first) => {
        const found = headsAt(g, rows, first, stateSize, groups);
        return size > stateSize ? g.pad(g.contiguous(found), size - stateSize) : found;
      });
      const held = g.reshape(group.stateOf(state), size, headSize, heads, sequences);
      const ids = g.slice(numbers.tensor, 0, sequences);
      const result = g.selectiveScan(held, read, group.alignedRowsOf(steps), decay, b!, c!, ids);
      g.compute(g.copy(tensorAt(g, result, inner * tokens * sequences, held.ne), held));
      const y = tensorAt(g, result, 0, [headSize, heads, tokens, sequences]);
      const skipped = g.multiply(read, g.reshape(skip.tensor, 1, heads));
      return g.reshape(g.add(y, skipped), inner, tokens * sequences);
    });
    const y = g.concatAll(results, 1);
    const gated = g.reshape(g.swiglu(part(0, inner), y), inner / normGroups, normGroups, n);
    const normal = g.reshape(g.rmsNorm(gated, undefined, epsilon), inner, n);
    return output(g, g.multiply(normal, norm.tensor));
  };
}

/** The size to which states are filled with zeros. @throws FiddlerError `unsupported` */
function paddedState({ heads, headSize, stateSize, groups, normGroups, keys }: Mamba2Options): number {
  refuseUnless(headSize % HEAD_STEP === 0, keys.headSize, `is ${headSize}, which is no multiple of ${HEAD_STEP}`);
  refuseUnless(heads % groups === 0, keys.groups, `is ${groups}, which does not divide ${heads} heads`);
  refuseUnless((heads * headSize) % normGroups === 0, keys.groups, `is ${normGroups}, which does not divide the norm`);
  const size = STATE_SIZES.find((each) => each >= stateSize);
  return size ?? unsupported(keys.stateSize, `is ${stateSize}, more than ${STATE_SIZES.at(-1)}`);
}

/** A tensor of float32 that lies in another from an element on. */
function tensorAt(g: Graph, a: Tensor, first: number, ne: Extents): Tensor {
  return g.view(a, ne, first * a.strides[0], contiguousStrides(a.type, ne));
}
