import type { Block } from '../model.js';
import type { Declarations } from '../parameters.js';

/** x [in, n] → [out, n]: weight · x, and bias where there is one; tensors `${name}.weight` and `${name}.bias`. */
export function linear(declare: Declarations, name: string, out: number, input: number, bias = false): Block {
  const weight = declare.matrix(`${name}.weight`, out, input);
  const offset = bias ? declare.vector(`${name}.bias`, out) : undefined;
  return (g, x) => {
    const product = g.matmul(weight.tensor, x);
    return offset ? g.add(product, offset.tensor) : product;
  };
}

/** A block whose result is multiplied by `factor`. */
export function scaled(block: Block, factor: number): Block {
  return factor === 1 ? block : (g, x) => g.scale(block(g, x), factor);
}
