import type { GgufArchitecture } from './architecture.js';
import { qwen3moe } from './qwen3moe.js';

/** The text of Qwen3-VL-MoE, which is Qwen3-MoE's; what sees pictures comes in a file of its own. */
export const qwen3vlmoe: GgufArchitecture = { ...qwen3moe, name: 'qwen3vlmoe' };
