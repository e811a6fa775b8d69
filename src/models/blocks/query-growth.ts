import type { Declarations } from '../parameters.js';
import type { RotaryBlock } from './rotary.js';

/**
 * Multiplies queries x [size, heads, n] by 1 + β · ln(1 + ⌊position / original⌋), which keeps attention sharp in contexts
 * beyond the original one (Scalable-Softmax, arXiv 2501.19399; as Llama 4 and Mistral 4 have it in transformers).
 * @param context most positions there will be
 */
export function queryGrowth(
  declare: Declarations,
  context: number,
  { beta, original }: { beta: number; original: number },
): RotaryBlock {
  const factors = Float32Array.from({ length: context }, (_, p) => 1 + beta * Math.log1p(Math.floor(p / original)));
  const table = declare.constant(factors);
  return (g, x, step) => {
    const each = g.getRows(g.reshape(table.tensor, 1, context), step.positions);
    return g.multiply(x, g.reshape(each, 1, 1, step.tokens));
  };
}
