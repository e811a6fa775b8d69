import { usableCpus } from '../devices/cores.js';
import { FiddlerError } from '../errors.js';
import { mapMatrices } from '../experts/activations.js';
import { describe } from '../loading/blueprint.js';
import { gib } from '../loading/fitting.js';
import { openWeights } from '../loading/layout.js';
import type { ModelSource } from '../loading/source.js';
import { type MatrixDTypes, routeAtRandom, syntheticTensors } from '../loading/synthetic.js';
import { expertLayersOf } from '../models/model.js';
import { typeName } from '../native/ggml/tensor.js';
import type { LoadOptions } from '../options.js';
import type { DType } from '../weights/checkpoint.js';
import type { JsonObject } from '../weights/config.js';
import { openSynthetic, syntheticBytes } from '../weights/synthetic.js';

/** Layers with routed experts in a sample: neighbours may attend by different windows. */
const SPARSE_LAYERS = 2;
/** Experts take about this much memory in a sample: more than any cache holds. */
const EXPERT_BYTES = 2 ** 30;

/**
 * A model's first layers with random weights, of which few experts have memory of their own: what its pieces take can be
 * measured with it, where its weights are not there or too many.
 * @param room most bytes that its weights may take; without it nothing is filled
 * @param quantize matrices have the types in which a load would quantize them
 */
export function sampleOf(source: ModelSource, room?: number, quantize?: LoadOptions['quantize']): ModelSource {
  return {
    name: `${source.name} (sample)`,
    config: shortened(source),
    inMemory: true,
    tokenizer: false,
    synthetic: true,
    open(spec, declarations) {
      routeAtRandom(spec);
      const dtypes = source.quantized || quantize ? dtypesOf(source, quantize) : undefined;
      const tensors = (distinct: number) => syntheticTensors(spec, declarations, { distinct, dtypes });
      if (room === undefined) return openSynthetic(this.name, tensors(1), 0);
      const [one, two] = [syntheticBytes(tensors(1)), syntheticBytes(tensors(2))];
      const each = Math.max(1, two - one); // nothing where one tensor holds all experts
      const chosen = Math.max(...expertLayersOf(spec).map((of) => of.chosen));
      checkSample(one + (chosen - 1) * each, room);
      // Half of them are resident, and each lane is measured with as many as a token chooses.
      const wanted = Math.max(4 * chosen, Math.ceil(EXPERT_BYTES / each));
      const distinct = Math.min(wanted, 1 + Math.floor((room - one) / each));
      return openSynthetic(this.name, tensors(distinct), usableCpus());
    },
  };
}

/** The types in which a model's files hold its matrices, or a load quantizes them. */
function dtypesOf(source: ModelSource, quantize: LoadOptions['quantize']): MatrixDTypes {
  const { checkpoint, blueprint } = openWeights(source, { quantize });
  const { embedding, expertTypes, parameters } = blueprint;
  const types = new Map(
    parameters.map(({ parameter, source, type }) => {
      const held = parameter.precision === 'exact' ? source.type : type;
      return [parameter.name, typeName(held) as DType];
    }),
  );
  types.set(blueprint.spec.embedding.name, embedding.dtype as DType);
  const experts = expertTypes.map((of) => mapMatrices(of, (type) => typeName(type) as DType));
  checkpoint.close();
  return {
    parameter: (name) => types.get(name) ?? 'BF16',
    expert: (layer, name) => experts[layer]![name]!,
  };
}

/** @param least bytes with which what a token reads is not read from a cache @throws FiddlerError `memory` */
function checkSample(least: number, room: number): void {
  if (least <= room) return;
  const problem = `a sample of this model takes ${gib(least)} of RAM, but there is room for ${gib(Math.max(0, room))}`;
  throw new FiddlerError('memory', problem, 'end other programs, or plan it by the rates of a machine (simulate)');
}

/** The config with as few layers as hold {@link SPARSE_LAYERS} with routed experts. */
function shortened(source: ModelSource): JsonObject {
  const { config } = source;
  const { layers } = describe(source).spec;
  const { num_hidden_layers: count } = config;
  if (count !== layers.length) return config;
  const sparse = [...layers.keys()].filter((l) => layers[l]!.moe);
  const kept = (sparse[SPARSE_LAYERS - 1] ?? layers.length - 1) + 1;
  const perLayer = Object.entries(config).filter(([, value]) => Array.isArray(value) && value.length === count);
  const cut = perLayer.map(([key, value]) => [key, (value as unknown[]).slice(0, kept)]);
  return { ...config, ...Object.fromEntries(cut), num_hidden_layers: kept };
}
