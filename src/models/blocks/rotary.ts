import type { Graph } from '../../native/ggml/graph.js';
import type { Tensor } from '../../native/ggml/tensor.js';
import type { Step } from '../model.js';
import type { Declarations } from '../parameters.js';
import type { Rotation } from '../rope.js';

/** Rotates x [headSize, heads, n] by the positions of the call, or `inverse` turns it back. */
export type RotaryBlock = (g: Graph, x: Tensor, step: Step, inverse?: boolean) => Tensor;

/** Rotary positions; all layers of a model share one, and with it the divisors on the device. */
export function rotary(declare: Declarations, rotation: Rotation): RotaryBlock {
  const { dimensions, trailing, interleaved, base, divisors, magnitude, extended } = rotation;
  const hold = (values?: Float32Array) => values && declare.constant(values);
  const usual = { divisors: hold(divisors), magnitude };
  const long = extended && { divisors: hold(extended.divisors), magnitude: extended.magnitude };
  if (extended) declare.extendedBeyond = extended.beyond;
  return (g, x, step, inverse) => {
    const use = step.extended && long ? long : usual;
    const from = trailing ? x.ne[0] - dimensions : 0;
    const parameters = { dimensions, from, inverse, interleaved, base, magnitude: use.magnitude };
    return g.rope(x, step.positions, parameters, use.divisors?.tensor);
  };
}
