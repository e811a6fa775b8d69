import { DEEPSEEK_V3 } from './deepseek-v3.js';
import type { Shapes } from './shapes.js';

/** deepseek-ai/DeepSeek-V3.2, whose FP8 blocks are bf16 here. */
export const DEEPSEEK_V32: Shapes = {
  'deepseek-v3.2': {
    ...DEEPSEEK_V3['deepseek-v3'],
    model_type: 'deepseek_v32',
    index_n_heads: 64,
    index_head_dim: 128,
    index_topk: 2048,
  },
};
