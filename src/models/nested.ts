import type { JsonObject } from '../weights/config.js';
import { unsupported } from './config.js';

/** What tensors of most such checkpoints are called (see DecoderOptions). */
export const NESTED_NAMES = { model: 'model.language_model', head: 'lm_head' };

/**
 * The part of a config that describes the language model, where a checkpoint holds more than that (pictures, sound).
 * `tie_word_embeddings` stands outside of it or inside.
 * @throws FiddlerError `unsupported`
 */
export function textConfig(config: JsonObject): JsonObject {
  const { text_config: text, tie_word_embeddings: tied } = config;
  if (typeof text !== 'object' || text === null || Array.isArray(text)) unsupported('text_config', 'is missing');
  return { ...(tied === undefined ? {} : { tie_word_embeddings: tied }), ...text };
}
