import { tagged } from './tagged.js';

/** `<think>` reasoning `</think>` answer (DeepSeek-R1, arXiv 2501.12948; Qwen3, arXiv 2505.09388). */
export const think = tagged({ open: '<think>', close: '</think>' });
