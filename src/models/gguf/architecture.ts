import type { JsonObject } from '../../weights/config.js';
import type { GgufKeys } from './keys.js';

/** Changes a tensor's float32 numbers back to those that the model was published with. */
export type Undo = (values: Float32Array) => void;

/** How GGUF files hold models of a family: one file here, one line in the registry. */
export interface GgufArchitecture {
  /** `general.architecture`. */
  name: string;
  /**
   * What config.json says, by the file's metadata: `model_type` names the family, which then describes the model.
   * @throws FiddlerError `file` or `unsupported`, naming the key
   */
  config(keys: GgufKeys): JsonObject;
  /**
   * Names of tensors where they are others than most architectures': by the published name without `model.layers.N.`
   * and `.weight` or `.bias`, that behind `blk.N.`; of tensors outside of layers the whole one.
   */
  names?: Readonly<Record<string, string>>;
  /** Tensors of a layer that a file holds outside of layers: by the same published names the whole one. */
  once?: Readonly<Record<string, string>>;
  /** Tensors that `config` takes up, besides `rope_freqs.weight`. */
  ofConfig?: readonly string[];
  /** What the converter did to tensors, undone: by the same published names. */
  undo?: Readonly<Record<string, Undo>>;
}
