import type { ExpertsSpec } from '../experts/spec.js';
import { layersOf } from '../models/model.js';
import type { Checkpoint, StoredTensor } from '../weights/checkpoint.js';
import type { Description } from './blueprint.js';

/** Tensors that belong to others, or say what the config says. */
const ACCOUNTED = /(_scale_inv|_scales|_blocks|\.scale|\.weight_factor|\.[kv]_scale|\.inv_freq|^lm_head\.weight)$/;

/**
 * Says in a line which parts of a checkpoint are not computed with: what sees pictures, layers that predict further
 * tokens. No line where all of it is used.
 */
export function leftOut({ tensors }: Checkpoint, { spec, declarations }: Description): string[] {
  const { parameters, hostVectors, integers, tables } = declarations;
  const single = [spec.embedding, ...parameters, ...hostVectors, ...integers].map(({ name }) => name);
  const names = [...single, ...tables.flatMap((table) => [...table.names, table.scale])];
  const experts = layersOf(spec).flatMap(({ moe }) => (moe ? expertTensors(tensors, moe.experts) : []));
  const used = new Set<StoredTensor | undefined>([...names, ...experts].map((name) => tensors.get(name)));
  const parts = new Map<string, Set<StoredTensor>>();
  for (const [name, tensor] of tensors) {
    if (used.has(tensor) || ACCOUNTED.test(name)) continue;
    const part = partOf(name, spec.layers.length);
    parts.set(part, (parts.get(part) ?? new Set()).add(tensor));
  }
  if (parts.size === 0) return [];
  const count = (n: number) => `${n} tensor${n === 1 ? '' : 's'}`;
  return [`left out: ${[...parts].map(([part, held]) => `${part} (${count(held.size)})`).join(', ')}`];
}

/** Names of the tensors that hold a layer's experts; of tensors that hold those of all, once. */
function expertTensors(tensors: Checkpoint['tensors'], spec: ExpertsSpec): string[] {
  const { count, matrices, alternatives = [], biases } = spec;
  return [matrices, ...alternatives, ...(biases ? [biases] : [])].flatMap((way) => {
    const first = Object.values(way(0));
    if (!first.some(({ name }) => tensors.has(name))) return [];
    const each = first.every(({ index }) => index !== undefined) ? 1 : count;
    return Array.from({ length: each }, (_, e) => Object.values(way(e)).map(({ name }) => name)).flat();
  });
}

/** What a line names of a tensor: two parts of its name, or the layer where that is behind the model's. */
function partOf(name: string, layers: number): string {
  const [, layer, number] = /^(.*?layers\.(\d+))\./.exec(name) ?? [];
  return number !== undefined && Number(number) >= layers ? layer! : name.split('.').slice(0, 2).join('.');
}
