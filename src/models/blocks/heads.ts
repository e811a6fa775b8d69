import type { Graph } from '../../native/ggml/graph.js';
import { rowBytes, type Tensor } from '../../native/ggml/tensor.js';

/** [size · heads, n], whose rows may lie apart, as [size, heads, n]. */
export function splitHeads(g: Graph, x: Tensor, heads: number): Tensor {
  const [width, n] = x.ne;
  const size = width / heads;
  if (inOrder(x)) return g.reshape(x, size, heads, n);
  const [element, row] = x.strides;
  return g.view(x, [size, heads, n, 1], 0, [element, size * element, row, row * n]);
}

/** [size, heads, n], the heads of a token one behind the other, as [size · heads, n], whose rows may lie apart. */
export function joinHeads(g: Graph, x: Tensor): Tensor {
  const [size, heads, n] = x.ne;
  const [element, , row] = x.strides;
  const width = size * heads;
  if (n === 1 || row === rowBytes(x.type, width)) return g.reshape(x, width, n);
  return g.view(x, [width, n, 1, 1], 0, [element, row, row * n, row * n]);
}

/** A matrix whose rows lie one behind the other, copied where `x` is not such a one. */
export function ordered(g: Graph, x: Tensor): Tensor {
  return inOrder(x) ? x : g.contiguous(x);
}

function inOrder({ type, ne, strides }: Tensor): boolean {
  return ne[1] === 1 || strides[1] === rowBytes(type, ne[0]);
}
