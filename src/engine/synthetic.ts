import { usableCpus } from '../devices/cores.js';
import { FiddlerError } from '../errors.js';
import { wantedTensors } from '../experts/stored.js';
import { layersOf, type ModelSpec } from '../models/model.js';
import type { Declarations } from '../models/parameters.js';
import { PUBLISHED } from '../models/published/index.js';
import { randomRouter } from '../models/router-random.js';
import type { JsonObject } from '../weights/config.js';
import { openSynthetic, type SyntheticTensor } from '../weights/synthetic.js';
import type { ModelSource } from './source.js';

export interface SyntheticOptions {
  /** Fewer layers than published. */
  layers?: number;
  /** Exponent of a Zipf distribution over a layer's experts; 0 routes uniformly. */
  zipf?: number;
  /** Share of guessed experts that are right, 0 to 1. */
  guessRecall?: number;
  /** No weight is ever read: memory is set aside for them but not filled. */
  empty?: boolean;
}

/** A published shape with random weights, in bf16, and random routing. @throws FiddlerError `usage` */
export function syntheticSource(
  name: string,
  { layers, zipf = 0, guessRecall, empty }: SyntheticOptions = {},
): ModelSource {
  const config = PUBLISHED[name];
  if (!config) {
    const known = Object.keys(PUBLISHED).join(', ');
    throw new FiddlerError('usage', `there is no synthetic model ${name}`, `use one of: ${known}`);
  }
  return {
    name: `${name} (synthetic)`,
    config: layers ? withLayers(config, layers) : config,
    inMemory: !empty,
    tokenizer: false,
    synthetic: true,
    open(spec, declarations) {
      routeAtRandom(spec, zipf, guessRecall);
      return openSynthetic(name, syntheticTensors(spec, declarations), empty ? 0 : usableCpus());
    },
  };
}

/** The keys that count layers: those of a decoder alone, and those of an encoder and its decoder. */
const LAYER_COUNTS = ['num_hidden_layers', 'num_layers', 'num_decoder_layers'];

function withLayers(config: JsonObject, layers: number): JsonObject {
  const counts = LAYER_COUNTS.filter((key) => key in config).map((key) => [key, layers]);
  return { ...config, ...Object.fromEntries(counts) };
}

/** Replaces a model's routers, whose weights are random, by random ones of known distribution. */
export function routeAtRandom(spec: ModelSpec, zipf: number, guessRecall?: number): void {
  for (const [l, { moe }] of layersOf(spec).entries()) {
    if (moe) moe.router = randomRouter(moe.experts.count, moe.router.chosen, zipf, l + 1, guessRecall);
  }
}

/**
 * Every tensor that the model reads, once each.
 * @param distinct of each layer as many experts have memory of their own, and the others share it
 */
export function syntheticTensors(
  spec: ModelSpec,
  declarations: Declarations,
  distinct = Number.POSITIVE_INFINITY,
): SyntheticTensor[] {
  const tensors = new Map<string, SyntheticTensor>();
  const add = (tensor: SyntheticTensor) => {
    if (!tensors.has(tensor.name)) tensors.set(tensor.name, tensor);
  };
  add({ name: spec.embedding.name, shape: [spec.vocabulary, spec.hidden], dtype: 'BF16' });
  for (const { name, shape } of [...declarations.parameters, ...declarations.hostVectors]) {
    add({ name, shape, dtype: 'BF16' });
  }
  for (const { moe } of layersOf(spec)) {
    for (let e = 0; moe && e < moe.experts.count; e++) {
      const shared = e < distinct ? [] : wantedTensors(moe.experts, e % distinct);
      for (const [i, tensor] of wantedTensors(moe.experts, e).entries()) add({ ...tensor, like: shared[i]?.name });
    }
  }
  return [...tensors.values()];
}
