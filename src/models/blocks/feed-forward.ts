import type { Graph } from '../../native/ggml/graph.js';
import type { Tensor } from '../../native/ggml/tensor.js';
import type { Block } from '../model.js';
import type { Declarations } from '../parameters.js';
import { linear, rowsOfGroups } from './linear.js';

/**
 * down(act(gate(x)) · up(x)) (SwiGLU and its like, arXiv 2002.05202), for every token: a dense layer's, or shared experts.
 * Projections are named `${prefix}.{gate,up,down}_proj` where not otherwise.
 */
export function gatedFeedForward(
  declare: Declarations,
  prefix: string,
  hidden: number,
  width: number,
  gated: 'swiglu' | 'geglu' | ((g: Graph, gate: Tensor, up: Tensor) => Tensor) = 'swiglu',
  names: readonly [gate: string, up: string, down: string] = ['gate_proj', 'up_proj', 'down_proj'],
): Block {
  const gate = linear(declare, `${prefix}.${names[0]}`, width, hidden);
  const up = linear(declare, `${prefix}.${names[1]}`, width, hidden);
  const down = linear(declare, `${prefix}.${names[2]}`, hidden, width);
  const join = typeof gated === 'string' ? (g: Graph, a: Tensor, b: Tensor) => g[gated](a, b) : gated;
  return (g, x) => down(g, join(g, gate(g, x), up(g, x)));
}

/** As `gatedFeedForward`, with the rows [gate; up] in `${prefix}.input_linear`, and down in `${prefix}.output_linear`. */
export function fusedGatedFeedForward(declare: Declarations, prefix: string, hidden: number, width: number): Block {
  const [gate, up] = ['gate_proj', 'up_proj'].map((alone, i) => {
    const rows = { count: 1, from: i * width, rows: width };
    return rowsOfGroups(declare, `${prefix}.input_linear`, 2 * width, hidden, rows, `${prefix}.${alone}`);
  });
  const down = linear(declare, `${prefix}.output_linear`, hidden, width);
  return (g, x) => down(g, g.swiglu(gate!(g, x), up!(g, x)));
}

/**
 * down(silu(b) · a · up(x)) with the rows [a; b] = gate(x): OpenMoE's, whose SwiGLU gates up in its turn. gate is
 * [2 · width, hidden]; names as above.
 */
export function swigluGatedFeedForward(declare: Declarations, prefix: string, hidden: number, width: number): Block {
  const gate = linear(declare, `${prefix}.gate_proj`, 2 * width, hidden);
  const up = linear(declare, `${prefix}.up_proj`, width, hidden);
  const down = linear(declare, `${prefix}.down_proj`, hidden, width);
  return (g, x) => {
    const both = gate(g, x);
    const half = (first: number) => g.view(both, [width, both.ne[1], 1, 1], first * both.strides[0]);
    return down(g, g.multiply(g.swiglu(half(width), half(0)), up(g, x)));
  };
}

/** down(act(up(x))) for every token (arXiv 1706.03762, section 3.3, without biases). */
export function feedForward(
  declare: Declarations,
  names: { up: string; down: string },
  hidden: number,
  width: number,
  activation: 'relu' | 'squaredRelu' = 'relu',
): Block {
  const up = linear(declare, names.up, width, hidden);
  const down = linear(declare, names.down, hidden, width);
  return (g, x) => down(g, g[activation](up(g, x)));
}

/** block(x) · sigmoid(gate · x): a block that each token takes to its own degree; the gate is `${name}.weight` [1, hidden]. */
export function sigmoidGated(declare: Declarations, name: string, hidden: number, block: Block): Block {
  const gate = linear(declare, name, 1, hidden);
  return (g, x) => g.multiply(block(g, x), g.sigmoid(gate(g, x)));
}
