import type { Joined, Parameter, Projection } from '../models/parameters.js';
import { rowBytes, type Tensor, type TensorContext, Type } from '../native/ggml/tensor.js';

/** Parameters that are copied to a device, each with the type in which it is held. */
export type CopiedTypes = ReadonlyMap<Parameter, Type>;

/** Tensors that `joinProjections` makes of so many groups, at most. */
export const JOINED_TENSORS = 2;

/**
 * Gives those projections of each group that can be one product a matrix of all their rows in `context`, and each weight
 * and bias its part of that. The others' tensors stay as they are, and so do all of a group of which fewer than two can.
 * @param alignment bytes of which the place of each part must be a multiple, in the matrix and in what is projected
 * @returns the parameters that have their tensors now
 */
export function joinProjections(
  context: TensorContext,
  groups: readonly Joined[],
  types: CopiedTypes,
  alignment: number,
): ReadonlySet<Parameter> {
  const placed = new Set<Parameter>();
  for (const group of groups) {
    group.count = joinable(group.parts, types, alignment, placed);
    const parts = group.parts.slice(0, group.count);
    const weights = parts.map(({ weight }) => weight);
    const biases = parts.flatMap(({ bias }) => bias ?? []);
    group.weight = group.count > 0 ? inRows(context, weights, types) : undefined;
    group.bias = biases.length > 0 ? inOneRow(context, biases) : undefined;
    for (const parameter of [...weights, ...biases]) placed.add(parameter);
  }
  return placed;
}

/** How many of the first can be one product: 0 or at least two. */
function joinable(
  parts: readonly Projection[],
  types: CopiedTypes,
  alignment: number,
  placed: ReadonlySet<Parameter>,
): number {
  const [first] = parts;
  const seen = new Set(placed);
  const joins = ({ weight, bias }: Projection) => {
    const [out, columns] = weight.shape as [number, number];
    const type = types.get(weight);
    if (type === undefined || type !== types.get(first!.weight) || weight.groups) return false;
    if (columns !== first!.weight.shape[1] || (bias === undefined) !== (first!.bias === undefined)) return false;
    if (bias && types.get(bias) !== Type.F32) return false;
    if (seen.has(weight) || (bias && seen.has(bias))) return false;
    seen.add(weight);
    if (bias) seen.add(bias);
    return (out * rowBytes(type, columns)) % alignment === 0 && rowBytes(Type.F32, out) % alignment === 0;
  };
  const end = parts.findIndex((part) => !joins(part));
  const count = end === -1 ? parts.length : end;
  return count > 1 ? count : 0;
}

function inRows(context: TensorContext, weights: readonly Parameter[], types: CopiedTypes): Tensor {
  const [first] = weights;
  const all = context.tensor(types.get(first!)!, first!.shape[1]!, total(weights));
  placeParts(context, all, weights, (rows) => [all.ne[0], rows, 1, 1], all.strides[1]);
  return all;
}

function inOneRow(context: TensorContext, biases: readonly Parameter[]): Tensor {
  const all = context.tensor(Type.F32, total(biases));
  placeParts(context, all, biases, (size) => [size, 1, 1, 1], all.strides[0]);
  return all;
}

const total = (parameters: readonly Parameter[]) => parameters.reduce((sum, { shape }) => sum + shape[0]!, 0);

/** @param each bytes of one of the elements, or rows, of which a parameter has `shape[0]` */
function placeParts(
  context: TensorContext,
  all: Tensor,
  parameters: readonly Parameter[],
  sizes: (count: number) => Tensor['ne'],
  each: number,
): void {
  let before = 0;
  for (const parameter of parameters) {
    const [count] = parameter.shape as [number];
    parameter.tensor = context.part(all, sizes(count), before * each);
    before += count;
  }
}
