import type { Graph } from '../../native/ggml/graph.js';
import type { Tensor } from '../../native/ggml/tensor.js';
import type { Block } from '../model.js';
import type { Declarations, Parameter } from '../parameters.js';

/** x [in, n] → [out, n]: weight · x, and bias where there is one; tensors `${name}.weight` and `${name}.bias`. */
export function linear(declare: Declarations, name: string, out: number, input: number, bias = false): Block {
  return affine(declare.matrix(`${name}.weight`, out, input), bias ? declare.vector(`${name}.bias`, out) : undefined);
}

/**
 * The output head of a model that ties it to its embeddings. Where the checkpoint holds a head of its own, that is used,
 * as transformers 5 does.
 */
export function tiedHead(
  declare: Declarations,
  names: { embedding: string; head: string },
  out: number,
  input: number,
  bias = false,
): Block {
  return affine(
    declare.tied(`${names.embedding}.weight`, `${names.head}.weight`, out, input),
    bias ? declare.vector(`${names.head}.bias`, out) : undefined,
  );
}

function affine(weight: Parameter, bias?: Parameter): Block {
  return (g, x) => {
    const product = g.matmul(weight.tensor, x);
    return bias ? g.add(product, bias.tensor) : product;
  };
}

/** A block whose result is multiplied by `factor`. */
export function scaled(block: Block, factor: number): Block {
  return factor === 1 ? block : (g, x) => g.scale(block(g, x), factor);
}

/** As `linear`, with some rows of each of a matrix's groups of rows, or with what the tensor `${alone}.weight` holds. */
export function rowsOfGroups(
  declare: Declarations,
  name: string,
  out: number,
  input: number,
  groups: { count: number; from: number; rows: number },
  alone?: string,
): Block {
  const taken = { ...groups, transposed: false, together: true, alone: alone && `${alone}.weight` };
  return affine(declare.rowGroups(`${name}.weight`, out, input, taken));
}

/** Each head's own weight [in, out, heads] times x [in, heads, n] → [out, heads, n]. */
export function perHead(g: Graph, weight: Tensor, x: Tensor): Tensor {
  // In order, because Vulkan rounds what is not to float16 before it multiplies.
  const product = g.matmul(weight, g.contiguous(g.permute(x, [0, 2, 1, 3])));
  return g.contiguous(g.permute(product, [0, 2, 1, 3]));
}
