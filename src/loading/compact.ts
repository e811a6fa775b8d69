import { mapMatrices, matrixEntries } from '../experts/activations.js';
import { type ExpertsSpec, type MatrixTypes, matrixShape } from '../experts/spec.js';
import { findExpert } from '../experts/stored.js';
import { blockElements, typeName } from '../native/ggml/tensor.js';
import type { Checkpoint } from '../weights/checkpoint.js';
import type { Blueprint } from './blueprint.js';

/**
 * The blueprint with experts in about as many bytes as they take in the files, where ggml has no such type: FP8 as Q8_0,
 * for which bf16 would be twice the bytes. Rows that no block divides, and whatever is upcast, stay as they were.
 */
export function compactBlueprint(blueprint: Blueprint, checkpoint: Checkpoint): Blueprint {
  const { expertLayers, expertTypes, upcast } = blueprint;
  if (upcast !== undefined) return blueprint;
  return { ...blueprint, expertTypes: expertLayers.map((spec, l) => compactTypes(checkpoint, spec, expertTypes[l]!)) };
}

/** A line about experts that are held so; undefined where there are none. */
export function compactLine({ expertLayers, expertTypes }: Blueprint, checkpoint: Checkpoint): string | undefined {
  const types = expertLayers.flatMap((spec, l) => {
    const found = matrixEntries(findExpert(checkpoint, spec, 0));
    return found.map(([name, { compact }]) => (compact === expertTypes[l]![name] ? compact : undefined));
  });
  const names = [...new Set(types.filter((type) => type !== undefined).map(typeName))];
  if (names.length === 0) return undefined;
  return `experts in FP8 are held as ${names.join(', ')}, of about as many bytes: --dtype f32 computes with their very numbers`;
}

/** A matrix is held so where all experts of the layer have it so. */
function compactTypes(checkpoint: Checkpoint, spec: ExpertsSpec, types: MatrixTypes): MatrixTypes {
  const first = findExpert(checkpoint, spec, 0);
  if (matrixEntries(first).every(([, { compact }]) => compact === undefined)) return types;
  const others = Array.from({ length: spec.count - 1 }, (_, e) => findExpert(checkpoint, spec, e + 1));
  return mapMatrices(types, (type, name) => {
    const { compact } = first[name]!;
    if (compact === undefined || matrixShape(spec, name)[1] % blockElements(compact) !== 0) return type;
    return others.every((expert) => expert[name]!.compact === compact) ? compact : type;
  });
}
