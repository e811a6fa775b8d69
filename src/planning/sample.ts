import { usableCores } from '../devices/cores.js';
import { describe } from '../engine/blueprint.js';
import type { ModelSource } from '../engine/source.js';
import { routeAtRandom, syntheticTensors } from '../engine/synthetic.js';
import { expertBytes } from '../experts/spec.js';
import { Type } from '../ggml/tensor.js';
import { expertLayersOf } from '../models/model.js';
import type { JsonObject } from '../weights/config.js';
import { openSynthetic } from '../weights/synthetic.js';

/** Layers with routed experts in a sample: neighbours may attend by different windows. */
const SPARSE_LAYERS = 2;
/** Experts take about this much memory in a sample: more than any cache holds. */
const EXPERT_BYTES = 2 ** 30;

/**
 * A model's first layers with random weights, of which few experts have memory of their own: what its pieces take can be
 * measured with it, where its weights are not there or too many.
 */
export function sampleOf(source: ModelSource): ModelSource {
  const config = shortened(source);
  return {
    name: `${source.name} (sample)`,
    config,
    inMemory: true,
    tokenizer: false,
    synthetic: true,
    open(spec, declarations) {
      routeAtRandom(spec, 0);
      const experts = expertLayersOf(spec);
      const bytes = experts.reduce((sum, of) => sum + expertBytes(of, Type.BF16), 0);
      const chosen = Math.max(...experts.map((of) => of.chosen));
      // Half of them are resident, and each lane is measured with as many as a token chooses.
      const distinct = Math.max(4 * chosen, Math.ceil(EXPERT_BYTES / bytes));
      return openSynthetic(this.name, syntheticTensors(spec, declarations, distinct), usableCores());
    },
  };
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
