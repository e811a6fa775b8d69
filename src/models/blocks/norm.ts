import type { Block } from '../model.js';
import type { Declarations } from '../parameters.js';

/** Root mean square normalisation (arXiv 1910.07467). */
export function rmsNorm(declare: Declarations, name: string, size: number, epsilon: number): Block {
  const weight = declare.vector(name, size);
  return (g, x) => g.rmsNorm(x, weight.tensor, epsilon);
}
