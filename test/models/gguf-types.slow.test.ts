import { FILE_TYPES, type FileType } from '../support/llama.js';
import { typesTest } from './gguf-types.js';

const types = Object.keys(FILE_TYPES) as FileType[];
typesTest('Mixtral', types);
typesTest('Qwen3-MoE', types);
