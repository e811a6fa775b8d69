import { existsSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { usableCores } from '../devices/cores.js';
import { FiddlerError } from '../errors.js';
import { wantedTensors } from '../experts/stored.js';
import type { ModelSpec } from '../models/model.js';
import type { Declarations } from '../models/parameters.js';
import { PUBLISHED } from '../models/published.js';
import { randomRouter } from '../models/router-random.js';
import type { Checkpoint } from '../weights/checkpoint.js';
import { type JsonObject, readJson } from '../weights/config.js';
import { openCheckpoint } from '../weights/index.js';
import { openSynthetic, type SyntheticTensor } from '../weights/synthetic.js';

/** Where a model comes from. */
export interface ModelSource {
  name: string;
  config: JsonObject;
  generationConfig?: JsonObject;
  /** The weights take RAM from when they are opened, not as they are read. */
  inMemory: boolean;
  /** Opens the weights of the model that the config describes. @throws FiddlerError */
  open(spec: ModelSpec, declarations: Declarations): Checkpoint;
}

/** A folder as published on the Hugging Face hub. @throws FiddlerError `file` */
export function folderSource(dir: string): ModelSource {
  if (!existsSync(dir)) throw new FiddlerError('file', `there is no folder ${dir}`, 'give the folder of a model');
  return {
    name: basename(resolve(dir)),
    config: readJson(dir, 'config.json', { required: true }),
    generationConfig: readJson(dir, 'generation_config.json', { required: false }),
    inMemory: false,
    open: () => openCheckpoint(dir),
  };
}

export interface SyntheticOptions {
  /** Fewer layers than published. */
  layers?: number;
  /** Exponent of a Zipf distribution over a layer's experts; 0 routes uniformly. */
  zipf?: number;
  /** Share of guessed experts that are right, 0 to 1. */
  guessRecall?: number;
}

/** A published shape with random weights, in bf16, and random routing. @throws FiddlerError `usage` */
export function syntheticSource(name: string, { layers, zipf = 0, guessRecall }: SyntheticOptions = {}): ModelSource {
  const config = PUBLISHED[name];
  if (!config) {
    const known = Object.keys(PUBLISHED).join(', ');
    throw new FiddlerError('usage', `there is no synthetic model ${name}`, `use one of: ${known}`);
  }
  return {
    name: `${name} (synthetic)`,
    config: layers ? { ...config, num_hidden_layers: layers } : config,
    inMemory: true,
    open(spec, declarations) {
      for (const [l, { moe }] of spec.layers.entries()) {
        if (moe) moe.router = randomRouter(moe.experts.count, moe.router.chosen, zipf, l + 1, guessRecall);
      }
      return openSynthetic(name, syntheticTensors(spec, declarations), usableCores());
    },
  };
}

/** Every tensor that the model reads, once each. */
function syntheticTensors(spec: ModelSpec, declarations: Declarations): SyntheticTensor[] {
  const tensors = new Map<string, SyntheticTensor>();
  const add = (tensor: SyntheticTensor) => tensors.set(tensor.name, tensor);
  add({ name: spec.embedding.name, shape: [spec.vocabulary, spec.hidden], dtype: 'BF16' });
  for (const { name, shape } of [...declarations.parameters, ...declarations.hostVectors]) {
    add({ name, shape, dtype: 'BF16' });
  }
  for (const { moe } of spec.layers) {
    for (let e = 0; moe && e < moe.experts.count; e++) wantedTensors(moe.experts, e).forEach(add);
  }
  return [...tensors.values()];
}
