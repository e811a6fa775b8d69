import type { Graph } from '../../native/ggml/graph.js';
import type { Tensor } from '../../native/ggml/tensor.js';
import type { Block } from '../model.js';
import { type Declarations, Joined, type Parameter } from '../parameters.js';

/** x [in, n] → [out, n]: weight · x, and bias where there is one; tensors `${name}.weight` and `${name}.bias`. */
export function linear(declare: Declarations, name: string, out: number, input: number, bias = false): Block {
  return affine(declare.matrix(`${name}.weight`, out, input), bias ? declare.vector(`${name}.bias`, out) : undefined);
}

/** One of several projections of the same vectors; `kept`: the graph writes nothing over what it gives. */
export interface NamedProjection {
  name: string;
  out: number;
  kept?: boolean;
}

/**
 * As `linear` for several of the same x [in, n], one product where their weights lie together: of each [out, n], whose rows
 * may lie apart. @param apart each is a product of its own
 */
export function linears(
  declare: Declarations,
  projections: readonly NamedProjection[],
  input: number,
  { bias = false, apart = false } = {},
): (g: Graph, x: Tensor) => Tensor[] {
  const parts = projections.map(({ name, out }) => ({
    weight: declare.matrix(`${name}.weight`, out, input),
    bias: bias ? declare.vector(`${name}.bias`, out) : undefined,
  }));
  const joined = apart ? new Joined(parts) : declare.together(parts);
  return (g, x) => {
    const { count, weight, bias } = joined;
    const keep = (product: Tensor, kept = false) => (kept ? g.output(product) : product);
    const anyKept = projections.slice(0, count).some(({ kept }) => kept);
    const together = weight && keep(project(g, weight, bias, x), anyKept);
    let from = 0;
    return projections.map(({ out, kept }, i) => {
      const { weight, bias } = parts[i]!;
      if (!together || i >= count) return keep(project(g, weight.tensor, bias?.tensor, x), kept);
      from += out;
      return g.columns(together, from - out, out);
    });
  };
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
  return (g, x) => project(g, weight.tensor, bias?.tensor, x);
}

function project(g: Graph, weight: Tensor, bias: Tensor | undefined, x: Tensor): Tensor {
  const product = g.matmul(weight, x);
  return bias ? g.add(product, bias) : product;
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
