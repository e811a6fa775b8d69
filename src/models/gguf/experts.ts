import { eachMatrix, type MatrixName } from '../../experts/activations.js';
import type { ExpertMatrices, ExpertsSpec } from '../../experts/spec.js';
import type { Checkpoint } from '../../weights/checkpoint.js';

/** Where a GGUF file holds the routed experts of layer `l`, and its tensors that belong to them. */
export interface GgufExperts extends Pick<ExpertsSpec, 'matrices' | 'biases' | 'scales'> {
  tensors: string[];
}

/**
 * Experts as converters write them: a tensor for each matrix of all, `ffn_{gate,up,down}_exps` [count, out, in]; gate and
 * up fused, `ffn_gate_up_exps` [count, 2 · width, hidden], gate's rows first; or, of early Mixtral files, a tensor for
 * each matrix of each expert, `ffn_{gate,up,down}.E`. NVFP4 comes with a factor for each matrix of each expert, `.scale`
 * [count]; `.input_scale` is for those who compute with inputs in that type.
 */
export function ggufExperts(
  { tensors }: Checkpoint,
  l: number,
  { count, width, activation, biases }: ExpertsSpec,
): GgufExperts {
  const has = (name: string) => tensors.has(`blk.${l}.${name}`);
  const separate = (suffix: string) => (e: number) =>
    eachMatrix(activation, (name) => ({ name: `blk.${l}.ffn_${name}_exps.${suffix}`, index: e }));
  const fused =
    (suffix: string): ExpertMatrices =>
    (e) =>
      eachMatrix(activation, (name) => {
        if (name === 'down') return { name: `blk.${l}.ffn_down_exps.${suffix}`, index: e };
        const rows = { from: name === 'gate' ? 0 : width, of: 2 * width };
        return { name: `blk.${l}.ffn_gate_up_exps.${suffix}`, index: e, rows };
      });
  const single: ExpertMatrices = (e) =>
    eachMatrix(activation, (name: MatrixName) => ({ name: `blk.${l}.ffn_${name}.${e}.weight` }));
  const way = has('ffn_up.0.weight') ? single : has('ffn_gate_up_exps.weight') ? fused('weight') : separate('weight');
  const added = biases && (has('ffn_gate_up_exps.bias') ? fused('bias') : separate('bias'));
  const scales = has('ffn_up_exps.scale') && way !== single && !has('ffn_gate_up_exps.weight') && !added;
  const factors = scales ? separate('scale') : undefined;
  const unused = scales ? separate('input_scale') : undefined;
  const ofAll = [way, added, factors, unused].flatMap((held) =>
    held
      ? [...Array(held === single ? count : 1).keys()].flatMap((e) => Object.values(held(e)).map(({ name }) => name))
      : [],
  );
  return { matrices: way, biases: added, scales: factors, tensors: [...new Set(ofAll)] };
}
