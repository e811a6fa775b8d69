import type { AttentionBlock } from '../model.js';
import type { Declarations } from '../parameters.js';
import { causalConvolution } from './causal-convolution.js';
import { linear } from './linear.js';

/**
 * Short convolution between two gates (LFM2, Liquid AI; as transformers has it): output(c · convolve(b · x)) with the rows
 * [b; c; x] of `${prefix}.in_proj`. Tensors `${prefix}.{in_proj, conv, out_proj}`.
 */
export function shortConvolution(
  declare: Declarations,
  prefix: string,
  { hidden, kernel }: { hidden: number; kernel: number },
): AttentionBlock {
  const project = linear(declare, `${prefix}.in_proj`, 3 * hidden, hidden);
  const convolve = causalConvolution(declare, `${prefix}.conv`, { channels: hidden, kernel });
  const output = linear(declare, `${prefix}.out_proj`, hidden, hidden);
  return (g, x, step) => {
    const all = project(g, x);
    const [b, c, read] = [0, 1, 2].map((i) => g.contiguous(g.columns(all, i * hidden, hidden)));
    const gated = g.multiply(b!, read!);
    const mixed = step.groups.map((group) => {
      const convolved = convolve(g, gated, group, step);
      return g.reshape(convolved, hidden, group.tokens * group.sequences);
    });
    return output(g, g.multiply(g.concatAll(mixed, 1), c!));
  };
}
