import type { Graph } from '../../native/ggml/graph.js';
import type { Tensor } from '../../native/ggml/tensor.js';
import type { Step, StepGroup } from '../model.js';
import type { Declarations } from '../parameters.js';

export interface ConvolutionOptions {
  channels: number;
  /** Tokens that it reads, the present one included. */
  kernel: number;
  /** Distance of those tokens from each other, 1 by default. */
  dilation?: number;
  bias?: boolean;
}

/** x [channels, n] of a call → [channels, tokens, sequences] of a group. */
export type Convolution = (g: Graph, x: Tensor, group: StepGroup, step: Step) => Tensor;

/** Kernels for which every device that says it convolves does so (ggml-cuda/ssm-conv.cu). */
const KERNELS: readonly number[] = [3, 4, 5, 9, 15];

/**
 * Causal convolution of each channel by itself, with the last tokens before a call's in a state. Tensors
 * `${name}.weight` [channels, 1, kernel] and `${name}.bias`.
 */
export function causalConvolution(
  declare: Declarations,
  name: string,
  { channels, kernel, dilation = 1, bias }: ConvolutionOptions,
): Convolution {
  const weight = declare.exactMatrix(`${name}.weight`, channels, kernel);
  const added = bias ? declare.vector(`${name}.bias`, channels) : undefined;
  const held = (kernel - 1) * dilation;
  const state = declare.state(held * channels);
  return (g, x, group, step) => {
    const { tokens, sequences } = group;
    const byChannel = g.contiguous(g.permute(group.rowsOf(x), [1, 0, 2, 3]));
    const past = g.reshape(group.stateOf(state), held, channels, sequences);
    const all = g.concat(past, byChannel, 0);
    const convolved = convolve(g, all, weight.tensor, dilation, step);
    g.compute(g.copy(g.columns(all, tokens, held), past));
    return added ? g.add(convolved, added.tensor) : convolved;
  };
}

/** x [(kernel − 1) · dilation + tokens, channels, sequences], weight [kernel, channels] → [channels, tokens, sequences]. */
function convolve(g: Graph, x: Tensor, weight: Tensor, dilation: number, step: Step): Tensor {
  const [kernel] = weight.ne;
  const tokens = x.ne[0] - (kernel - 1) * dilation;
  if (dilation === 1 && KERNELS.includes(kernel)) {
    const whole = g.convolve(x, weight);
    if (step.supports(whole)) return whole;
  }
  const taps = Array.from({ length: kernel }, (_, i) => {
    const shifted = g.contiguous(g.columns(x, i * dilation, tokens));
    return g.multiply(shifted, g.contiguous(g.columns(weight, i, 1)));
  });
  return g.contiguous(
    g.permute(
      taps.reduce((sum, tap) => g.add(sum, tap)),
      [1, 0, 2, 3],
    ),
  );
}

/** Heads of `size` from a channel on, of what was convolved: [channels, tokens, sequences] → [size, heads, tokens, sequences]. */
export function headsAt(g: Graph, rows: Tensor, first: number, size: number, heads: number): Tensor {
  const [, tokens, sequences] = rows.ne;
  const [element, token, sequence] = rows.strides;
  const strides = [element, size * element, token, sequence] as const;
  return g.view(rows, [size, heads, tokens, sequences], first * element, strides);
}
