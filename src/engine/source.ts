import { existsSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { FiddlerError } from '../errors.js';
import type { ModelSpec } from '../models/model.js';
import type { Declarations } from '../models/parameters.js';
import type { Checkpoint } from '../weights/checkpoint.js';
import { type JsonObject, readJson } from '../weights/config.js';
import { openCheckpoint } from '../weights/index.js';

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
