import type { ModelSpec } from '../models/model.js';
import type { Declarations } from '../models/parameters.js';
import type { Checkpoint } from '../weights/checkpoint.js';
import type { JsonObject } from '../weights/config.js';

/** Where a model comes from. */
export interface ModelSource {
  name: string;
  config: JsonObject;
  /** The file that says what config.json would. */
  describedBy?: string;
  generationConfig?: JsonObject;
  /** The weights take RAM from when they are opened, not as they are read. */
  inMemory: boolean;
  /** Text is read by its own tokenizer. */
  tokenizer: boolean;
  /** What of the files is left out, a line each. */
  notes?: readonly string[];
  /** Its matrices have types of their own each, as GGUF files have them. */
  quantized?: true;
  /** Its routing is random, so that no expert of it is popular. */
  synthetic?: true;
  /** Opens the weights of the model that the config describes. @throws FiddlerError */
  open(spec: ModelSpec, declarations: Declarations): Checkpoint;
}
