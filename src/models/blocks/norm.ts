import type { Block } from '../model.js';
import type { Declarations } from '../parameters.js';

/** Root mean square normalisation (arXiv 1910.07467) over the innermost dimension. */
export function rmsNorm(declare: Declarations, name: string, size: number, epsilon: number): Block {
  const weight = declare.vector(`${name}.weight`, size);
  return (g, x) => g.rmsNorm(x, weight.tensor, epsilon);
}

/** Layer normalisation (arXiv 1607.06450) with bias. */
export function layerNorm(declare: Declarations, name: string, size: number, epsilon: number): Block {
  const weight = declare.vector(`${name}.weight`, size);
  const bias = declare.vector(`${name}.bias`, size);
  return (g, x) => g.layerNorm(x, weight.tensor, bias.tensor, epsilon);
}
