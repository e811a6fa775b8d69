import { typesTest } from './gguf-types.js';

typesTest('Mixtral', ['Q4_K_M', 'IQ3_M', 'MXFP4_MOE']);
typesTest('Qwen3-MoE', ['Q4_K_M']);
