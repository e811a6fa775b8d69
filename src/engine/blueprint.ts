import { STORED_TYPE } from '../devices/mapped.js';
import { FiddlerError } from '../errors.js';
import { MATRICES } from '../experts/expert.js';
import { expertBytes, type ExpertsSpec } from '../experts/spec.js';
import { checkShape, findExpert } from '../experts/stored.js';
import { Type } from '../ggml/tensor.js';
import { familyOf } from '../models/index.js';
import type { ModelSpec } from '../models/model.js';
import { Declarations } from '../models/parameters.js';
import type { Checkpoint, StoredTensor } from '../weights/checkpoint.js';
import { endTokens, readJson } from '../weights/config.js';
import { type FoundParameter, findParameters } from './parameters.js';

/** A model as its folder describes it, checked against its weights; nothing is loaded yet. */
export interface Blueprint {
  family: string;
  spec: ModelSpec;
  declarations: Declarations;
  parameters: FoundParameter[];
  embedding: StoredTensor;
  /** The layers with routed experts. */
  expertLayers: ExpertsSpec[];
  /** Type in which experts are computed. */
  expertType: Type;
  /** Computed type of all matrices where it is not the stored one. */
  upcast: Type | undefined;
  cacheType: Type;
  endTokens: ReadonlySet<number>;
}

/** Reads and checks a model's folder. @throws FiddlerError `file` or `unsupported` */
export function readBlueprint(dir: string, checkpoint: Checkpoint, dtype: 'auto' | 'f32'): Blueprint {
  const config = readJson(dir, 'config.json', { required: true });
  const generation = readJson(dir, 'generation_config.json', { required: false });
  const family = familyOf(config);
  const declarations = new Declarations();
  const spec = family.describe(config, declarations);
  const upcast = dtype === 'f32' ? Type.F32 : undefined;
  const embedding = checkpoint.get(spec.embedding.name);
  checkShape(embedding, [spec.vocabulary, spec.hidden]);
  const expertLayers = spec.layers.flatMap(({ moe }) => (moe ? [moe.experts] : []));
  return {
    family: family.modelType,
    spec,
    declarations,
    parameters: findParameters(checkpoint, declarations.parameters, upcast),
    embedding,
    expertLayers,
    expertType: computedExpertType(checkpoint, expertLayers, upcast),
    upcast,
    cacheType: dtype === 'f32' ? Type.F32 : Type.F16,
    endTokens: endTokens(config, generation),
  };
}

/** Checks every matrix of every expert and gives the one type in which they are computed. */
function computedExpertType(checkpoint: Checkpoint, layers: readonly ExpertsSpec[], upcast?: Type): Type {
  const types = new Set<string>();
  for (const spec of layers) {
    for (let e = 0; e < spec.count; e++) {
      const found = findExpert(checkpoint, spec, e);
      for (const name of MATRICES) types.add(found[name].stored.dtype);
    }
  }
  if (upcast !== undefined) return upcast;
  const [type, other] = types as Set<keyof typeof STORED_TYPE>;
  if (other) {
    const problem = `experts are stored in different types (${[...types].join(', ')})`;
    throw new FiddlerError('unsupported', problem, 'use --dtype f32');
  }
  return STORED_TYPE[type!];
}

/** Experts in all, and the bytes of one in the computed type. */
export function expertTotals({ expertLayers, expertType }: Blueprint): { total: number; bytes: number } {
  const total = expertLayers.reduce((sum, l) => sum + l.count, 0);
  const bytes = Math.max(0, ...expertLayers.map((l) => expertBytes(l, expertType)));
  return { total, bytes };
}
