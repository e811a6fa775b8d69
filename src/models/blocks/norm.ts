import type { AttentionBlock, Block } from '../model.js';
import type { Declarations } from '../parameters.js';

/** Root mean square normalisation (arXiv 1910.07467) over the innermost dimension. */
export function rmsNorm(declare: Declarations, name: string, size: number, epsilon: number): Block {
  const weight = declare.vector(`${name}.weight`, size);
  return (g, x) => g.rmsNorm(x, weight.tensor, epsilon);
}

/** As `rmsNorm` with weights that are stored less 1 (Gemma, arXiv 2403.08295). */
export function zeroCentredNorm(declare: Declarations, name: string, size: number, epsilon: number): Block {
  const weight = declare.vector(`${name}.weight`, size);
  return (g, x) => {
    const normal = g.rmsNorm(x, undefined, epsilon);
    return g.add(g.multiply(normal, weight.tensor), normal);
  };
}

/** Layer normalisation (arXiv 1607.06450). */
export function layerNorm(declare: Declarations, name: string, size: number, epsilon: number, biased = true): Block {
  const weight = declare.vector(`${name}.weight`, size);
  const bias = biased ? declare.vector(`${name}.bias`, size) : undefined;
  return (g, x) => g.layerNorm(x, weight.tensor, bias?.tensor, epsilon);
}

/** `block` between two norms: what it gives is normalised before it is added (Gemma 2, arXiv 2408.00118, section 2). */
export function normedAttention(attention: AttentionBlock, norm: Block): AttentionBlock {
  return (g, x, step) => norm(g, attention(g, x, step));
}

/** As `zeroCentredNorm` of each residual stream by itself, with a weight for each element of all: [hidden · streams, n]. */
export function streamNorm(
  declare: Declarations,
  name: string,
  { hidden, streams, epsilon }: { hidden: number; streams: number; epsilon: number },
): Block {
  const weight = declare.vector(`${name}.weight`, hidden * streams);
  return (g, x) => {
    const n = x.ne[1];
    const normal = g.rmsNorm(g.reshape(x, hidden, streams, n), undefined, epsilon);
    const flat = g.reshape(normal, hidden * streams, n);
    return g.add(g.multiply(flat, weight.tensor), flat);
  };
}
