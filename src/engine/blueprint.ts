import { FiddlerError } from '../errors.js';
import { matrixEntries } from '../experts/activations.js';
import { type ExpertsSpec, expertBytes } from '../experts/spec.js';
import { findExpert } from '../experts/stored.js';
import { Type } from '../ggml/tensor.js';
import { familyOf } from '../models/index.js';
import { expertLayersOf, type ModelSpec } from '../models/model.js';
import { Declarations } from '../models/parameters.js';
import type { Checkpoint, StoredTensor } from '../weights/checkpoint.js';
import { endTokens } from '../weights/config.js';
import { checkShape, typeInPlace } from '../weights/source.js';
import { type FoundParameter, findParameters } from './parameters.js';
import type { ModelSource } from './source.js';
import { type FoundVector, findVectors } from './vectors.js';

/** A model as its folder describes it, checked against its weights; nothing is loaded yet. */
export interface Blueprint extends Description {
  parameters: FoundParameter[];
  hostVectors: FoundVector[];
  embedding: StoredTensor;
  /** The layers with routed experts. */
  expertLayers: ExpertsSpec[];
  /** Type in which experts are computed. */
  expertType: Type;
  /** Computed type of all matrices where it is not the stored one. */
  upcast: Type | undefined;
  cacheType: Type;
}

/** A model as its config describes it. */
export interface Description {
  family: string;
  spec: ModelSpec;
  declarations: Declarations;
  endTokens: ReadonlySet<number>;
}

/** Reads a model's config. @throws FiddlerError `file` or `unsupported`, naming the key */
export function describe({ config, generationConfig }: ModelSource): Description {
  const family = familyOf(config);
  const declarations = new Declarations();
  const spec = family.describe(config, declarations);
  return {
    family: family.name ?? family.modelType,
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
  const expertLayers = expertLayersOf(spec);
  if (expertLayers.length === 0) {
    const remedy = 'use a Mixture-of-Experts model; of a synthetic one, more --layers';
    throw new FiddlerError('unsupported', 'no layer of this model has routed experts', remedy);
  }
  return {
    ...description,
    parameters: findParameters(checkpoint, declarations.parameters, upcast),
    hostVectors: findVectors(checkpoint, declarations.hostVectors),
    embedding,
    expertLayers,
    expertType: computedExpertType(checkpoint, expertLayers, upcast),
    upcast,
    cacheType: dtype === 'f32' ? Type.F32 : Type.F16,
  };
}

/** Checks every matrix of every expert and gives the one type in which they are computed. */
function computedExpertType(checkpoint: Checkpoint, layers: readonly ExpertsSpec[], upcast?: Type): Type {
  const types = new Set<Type>();
  for (const spec of layers) {
    for (let e = 0; e < spec.count; e++) {
      for (const [, { type }] of matrixEntries(findExpert(checkpoint, spec, e))) types.add(type);
    }
  }
  if (upcast !== undefined) return upcast;
  const [type, other] = types;
  if (other !== undefined) {
    const names = [...types].map((t) => Object.entries(Type).find(([, number]) => number === t)![0]);
    const problem = `experts are stored in different types (${names.join(', ')})`;
    throw new FiddlerError('unsupported', problem, 'use --dtype f32');
  }
  return type!;
}

/** Experts in all, and the bytes of one in the computed type. */
export function expertTotals({ expertLayers, expertType }: Blueprint): { total: number; bytes: number } {
  const total = expertLayers.reduce((sum, l) => sum + l.count, 0);
  const bytes = Math.max(0, ...expertLayers.map((l) => expertBytes(l, expertType)));
  return { total, bytes };
}
