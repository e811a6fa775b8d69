import type { JsonObject } from '../../weights/config.js';
import { QWEN3_MOE } from './qwen3-moe.js';
import type { Shapes } from './shapes.js';

/** The text of Qwen/Qwen3-VL-30B-A3B-Instruct and 235B-A22B: Qwen3's sizes with a longer context. */
export const QWEN3_VL_MOE: Shapes = {
  'qwen3-vl-30b-a3b': qwen3VlMoe(QWEN3_MOE['qwen3-30b-a3b']!),
  'qwen3-vl-235b-a22b': qwen3VlMoe(QWEN3_MOE['qwen3-235b-a22b']!),
};

function qwen3VlMoe(text: JsonObject): JsonObject {
  return {
    model_type: 'qwen3_vl_moe',
    tie_word_embeddings: false,
    text_config: {
      ...text,
      model_type: 'qwen3_vl_moe_text',
      max_position_embeddings: 262144,
      rope_theta: 5e6,
      rope_scaling: { mrope_interleaved: true, mrope_section: [24, 20, 20], rope_type: 'default' },
    },
  };
}
