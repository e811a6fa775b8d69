import type { ExpertMatrices, ExpertsSpec } from '../../experts/spec.js';
import { refuseUnless } from '../config.js';
import type { MoeSpec } from '../model.js';
import type { Declarations } from '../parameters.js';
import type { Router } from '../router.js';
import type { Capacity } from '../router-capacity.js';

export interface MoeOptions {
  hidden: number;
  /** Inner width of an expert. */
  width: number;
  /** Number of experts. */
  count: number;
  router: Router;
  capacity?: Capacity;
  /** Name of the router's weight [count, hidden]. */
  gate: string;
  matrices: ExpertMatrices;
  alternatives?: readonly ExpertMatrices[];
  biases?: ExpertMatrices;
  /** `silu` by default. */
  activation?: ExpertsSpec['activation'];
}

/** Routed experts; `activation` says which matrices each has. @throws FiddlerError `unsupported` */
export function mixtureOfExperts(declare: Declarations, options: MoeOptions): MoeSpec {
  const { hidden, width, count, router, capacity, matrices, alternatives, biases, activation = 'silu' } = options;
  const { chosen } = router;
  refuseUnless(
    chosen <= count,
    'the number of experts chosen for a token',
    `is ${chosen}, but there are only ${count}`,
  );
  return {
    gate: declare.exactMatrix(options.gate, count, hidden),
    router,
    capacity,
    experts: { count, chosen, hidden, width, activation, matrices, alternatives, biases },
  };
}

/**
 * Experts published one by one, as `${prefix}.${e}.${projection}.weight`; or as transformers 5 holds them, fused as
 * `${prefix}.gate_up_proj` and `${prefix}.down_proj`, each matrix as it is or transposed.
 */
export function separateExperts(
  prefix: string,
  width: number,
  [gate, up, down]: readonly [string, string, string] = ['gate_proj', 'up_proj', 'down_proj'],
): Required<Pick<MoeOptions, 'matrices' | 'alternatives'>> {
  const of = (e: number, projection: string) => ({ name: `${prefix}.${e}.${projection}.weight` });
  const fused = (transposed: boolean) =>
    fusedExperts(`${prefix}.gate_up_proj`, `${prefix}.down_proj`, width, transposed);
  return {
    matrices: (e) => ({ gate: of(e, gate), up: of(e, up), down: of(e, down) }),
    alternatives: [fused(false), fused(true)],
  };
}

/**
 * Experts stored as two tensors: `input` [count, 2 · width, hidden], of each expert first the rows of gate, then those
 * of up; and `output` [count, hidden, width].
 * @param transposed they are [count, hidden, 2 · width] and [count, width, hidden]
 */
export function fusedExperts(input: string, output: string, width: number, transposed?: boolean): ExpertMatrices {
  return (index) => {
    const half = (from: number) => ({ name: input, index, rows: { from, of: 2 * width }, transposed });
    return { gate: half(0), up: half(width), down: { name: output, index, transposed } };
  };
}

/**
 * Experts stored as `${prefix}.wi_gate` [count, hidden, 2 · width], of each expert first the columns of value, then those
 * of gate; `wi_up` [count, hidden, width]; and `wo` [count, width, hidden].
 */
export function transposedExperts(prefix: string, width: number): ExpertMatrices {
  return (index) => {
    const of = (name: string) => ({ name: `${prefix}.${name}`, index, transposed: true });
    const half = (from: number) => ({ ...of('wi_gate'), rows: { from, of: 2 * width } });
    return { gate: half(width), value: half(0), up: of('wi_up'), down: of('wo') };
  };
}
