import type { AcceleratorKind } from '../devices/accelerators.js';
import { FiddlerError } from '../errors.js';
import { mapMatrices, matrixEntries } from '../experts/activations.js';
import type { Placement } from '../experts/placement.js';
import { type ExpertsSpec, expertBytes, type MatrixTypes } from '../experts/spec.js';
import { factorsIn, findExpert } from '../experts/stored.js';
import { familyOf } from '../models/index.js';
import { expertLayersOf, type ModelSpec } from '../models/model.js';
import { Declarations } from '../models/parameters.js';
import { Type, typeName } from '../native/ggml/tensor.js';
import type { FoundTable } from '../network/table-rows.js';
import type { Checkpoint, StoredTensor } from '../weights/checkpoint.js';
import { checkDepth, endTokens } from '../weights/config.js';
import type { Renaming } from '../weights/renamed.js';
import { checkShape, typeInPlace } from '../weights/source.js';
import { type FoundParameter, findParameters } from './parameters.js';
import type { ModelSource } from './source.js';
import { checkIntegers, findTables } from './tables.js';
import { type FoundVector, findVectors } from './vectors.js';

/** A model as its folder describes it, checked against its weights; nothing is loaded yet. */
export interface Blueprint extends Description {
  parameters: FoundParameter[];
  hostVectors: FoundVector[];
  embedding: StoredTensor;
  /** Tables that stay where they lie in the files, of which tokens read rows. */
  tables: FoundTable[];
  /** The layers with routed experts. */
  expertLayers: ExpertsSpec[];
  /** Of each of these, the types in which its experts are computed. */
  expertTypes: MatrixTypes[];
  /** What was quantized lies in a file of so many bytes under the cache folder. */
  kept?: number;
  /** The accelerator does not multiply all of these types. */
  expertsOnCpu?: boolean;
  /** Computed type of all matrices where it is not the stored one. */
  upcast: Type | undefined;
}

/** A model as its config describes it. */
export interface Description {
  family: string;
  renamings?: readonly Renaming[];
  spec: ModelSpec;
  declarations: Declarations;
  endTokens: ReadonlySet<number>;
}

/** Reads a model's config. @throws FiddlerError `file` or `unsupported`, naming the key */
export function describe(source: ModelSource): Description {
  try {
    return described(source);
  } catch (error) {
    const { describedBy } = source;
    if (describedBy === undefined || !(error instanceof FiddlerError)) throw error;
    const { code, problem, remedy } = error;
    throw new FiddlerError(code, problem.replace(/^config\.json/, `${describedBy}, as $&`), remedy, { cause: error });
  }
}

function described({ config, generationConfig }: ModelSource): Description {
  checkDepth(config, 'config.json');
  const family = familyOf(config);
  const declarations = new Declarations();
  const spec = family.describe(config, declarations);
  return {
    family: family.name ?? family.modelType,
    renamings: family.renamings,
    spec,
    declarations,
    endTokens: endTokens(config, generationConfig),
  };
}

/** Checks a description against the weights. @throws FiddlerError `file` or `unsupported`, naming the tensor */
export function drawBlueprint(description: Description, checkpoint: Checkpoint, dtype: 'auto' | 'f32'): Blueprint {
  const { spec, declarations } = description;
  const upcast = dtype === 'f32' ? Type.F32 : undefined;
  const embedding = checkpoint.get(spec.embedding.name);
  checkShape(embedding, [spec.vocabulary, spec.hidden]);
  typeInPlace(embedding);
  checkIntegers(checkpoint, declarations.integers);
  const expertLayers = expertLayersOf(spec);
  if (expertLayers.length === 0) {
    const remedy = 'use a Mixture-of-Experts model; of a synthetic one, more --layers';
    throw new FiddlerError('unsupported', 'no layer of this model has routed experts', remedy);
  }
  for (const experts of expertLayers) experts.scales ??= factorsIn(checkpoint, experts);
  return {
    ...description,
    parameters: findParameters(checkpoint, declarations.parameters, upcast),
    hostVectors: findVectors(checkpoint, declarations.hostVectors),
    embedding,
    tables: findTables(checkpoint, declarations.tables),
    expertLayers,
    expertTypes: expertLayers.map((spec) => computedTypes(checkpoint, spec, upcast)),
    upcast,
  };
}

/** Checks every matrix of every expert of a layer and gives the types in which they are computed. */
function computedTypes(checkpoint: Checkpoint, spec: ExpertsSpec, upcast?: Type): MatrixTypes {
  const typesOf = (e: number) => mapMatrices(findExpert(checkpoint, spec, e), ({ type }) => type);
  const types = typesOf(0);
  for (let e = 1; e < spec.count; e++) {
    for (const [name, type] of matrixEntries(typesOf(e))) {
      if (type === types[name] || upcast !== undefined) continue;
      const problem = `experts of one layer are stored in different types (${typeName(types[name]!)}, ${typeName(type)})`;
      throw new FiddlerError('unsupported', problem, 'use --dtype f32');
    }
  }
  return upcast === undefined ? types : mapMatrices(types, () => upcast);
}

/** Bytes of one expert of each layer, in the computed types. */
export function layerBytes({ expertLayers, expertTypes }: Blueprint): number[] {
  return expertLayers.map((spec, l) => expertBytes(spec, expertTypes[l]!));
}

/** Experts in all; bytes of the largest, and of all, in the computed types. */
export function expertTotals(blueprint: Blueprint): { total: number; bytes: number; all: number } {
  const { expertLayers } = blueprint;
  const each = layerBytes(blueprint);
  const total = expertLayers.reduce((sum, l) => sum + l.count, 0);
  const all = expertLayers.reduce((sum, { count }, l) => sum + count * each[l]!, 0);
  return { total, bytes: Math.max(0, ...each), all };
}

/** Bytes of the resident experts in the computed types. */
export function residentBytes(blueprint: Blueprint, placement: Placement): number {
  const each = layerBytes(blueprint);
  return placement.reduce((sum, experts, l) => sum + experts.length * each[l]!, 0);
}

/** Type of the KV cache on that machine's accelerator. */
export function cacheType({ upcast }: Blueprint, { kind }: { kind: AcceleratorKind }): Type {
  return upcast ?? kind.cacheType;
}
