import { mapMatrices } from '../../experts/activations.js';
import type { ExpertMatrices, ExpertsSpec } from '../../experts/spec.js';
import { refuseUnless } from '../config.js';
import type { Merge, MoeSpec } from '../model.js';
import type { Declarations } from '../parameters.js';
import type { Router } from '../router.js';
import type { Capacity } from '../router-capacity.js';
import { linear } from './linear.js';

export interface MoeOptions {
  /** What the router reads; so do experts, where they have no `latent` to read. */
  hidden: number;
  latent?: Latent;
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

/** Experts read and write so many numbers, to which a projection leads, and one back from their sum (arXiv 2601.18089). */
export interface Latent {
  size: number;
  /** Names of the projections. */
  to: string;
  from: string;
}

/** Routed experts; `activation` says which matrices each has. @throws FiddlerError `unsupported` */
export function mixtureOfExperts(declare: Declarations, options: MoeOptions): MoeSpec {
  const { hidden, latent, width, count, router, capacity, activation = 'silu' } = options;
  const { matrices, alternatives, biases } = options;
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
    input: latent && linear(declare, latent.to, latent.size, hidden),
    experts: { count, chosen, hidden: latent?.size ?? hidden, width, activation, matrices, alternatives, biases },
  };
}

/** x → x + projection(sum of the experts). */
export function mergeFromLatent(declare: Declarations, { size, from }: Latent, hidden: number): Merge {
  const project = linear(declare, from, hidden, size);
  return { join: (g, x, sum) => g.add(x, project(g, sum)) };
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

/** The same matrices, each packed in a pair of tensors of its own. */
export function packedApart(matrices: ExpertMatrices): ExpertMatrices {
  return (e) => mapMatrices(matrices(e), (matrix) => ({ ...matrix, packing: 'apart' }));
}

/** Experts without a gate, published one by one as above, or fused as `${prefix}.up_proj` and `${prefix}.down_proj`. */
export function separateUngatedExperts(prefix: string): Required<Pick<MoeOptions, 'matrices' | 'alternatives'>> {
  const of = (e: number, projection: string) => ({ name: `${prefix}.${e}.${projection}.weight` });
  const fused = (index: number, projection: string) => ({ name: `${prefix}.${projection}`, index });
  return {
    matrices: (e) => ({ up: of(e, 'up_proj'), down: of(e, 'down_proj') }),
    alternatives: [(e) => ({ up: fused(e, 'up_proj'), down: fused(e, 'down_proj') })],
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
