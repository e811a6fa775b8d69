import koffi from 'koffi';
import { type Mapping, mapAnonymous, unmap, view } from '../../src/native/os/memory.js';
import { openGguf } from '../../src/weights/gguf/gguf.js';
import { llamaLibrary } from './llama-model.js';

/** Kinds of files that llama.cpp's quantizer makes, by their numbers (llama.h, llama_ftype). */
export const FILE_TYPES = {
  F32: 0,
  F16: 1,
  Q4_0: 2,
  Q4_1: 3,
  Q8_0: 7,
  Q5_0: 8,
  Q5_1: 9,
  Q2_K: 10,
  Q3_K_M: 12,
  Q4_K_M: 15,
  Q5_K_M: 17,
  Q6_K: 18,
  IQ2_XXS: 19,
  IQ2_XS: 20,
  IQ3_XXS: 23,
  IQ1_S: 24,
  IQ4_NL: 25,
  IQ3_S: 26,
  IQ3_M: 27,
  IQ2_S: 28,
  IQ2_M: 29,
  IQ4_XS: 30,
  IQ1_M: 31,
  BF16: 32,
  TQ1_0: 36,
  TQ2_0: 37,
  MXFP4_MOE: 38,
  Q1_0: 40,
  Q2_0: 41,
} as const;
export type FileType = keyof typeof FILE_TYPES;

let bound: ReturnType<typeof bind> | undefined;

/** llama.cpp's library, which lies beside ggml's: an answer that is not ours. */
function bind() {
  const library = llamaLibrary();
  koffi.struct('llama_quantize_params', {
    nthread: 'int32_t',
    ftype: 'int32_t',
    output_tensor_type: 'int32_t',
    token_embedding_type: 'int32_t',
    allow_requantize: 'bool',
    quantize_output_tensor: 'bool',
    only_copy: 'bool',
    pure: 'bool',
    keep_split: 'bool',
    dry_run: 'bool',
    imatrix: 'uintptr_t',
    kv_overrides: 'void*',
    tt_overrides: 'void*',
    prune_layers: 'void*',
    max_buf_size: 'size_t',
  });
  return {
    defaults: library.func('llama_quantize_params llama_model_quantize_default_params()'),
    quantize: library.func(
      'uint32_t llama_model_quantize(const char* from, const char* to, const llama_quantize_params* params)',
    ),
  };
}

/** Further fields of llama_quantize_params; types by ggml's numbers. */
interface Further {
  /** All matrices have that type. */
  pure?: boolean;
  output_tensor_type?: number;
  token_embedding_type?: number;
}

/**
 * Has llama.cpp quantize a GGUF file.
 * @param even every column of a matrix counts alike, which some types must be told; without, larger numbers count more
 */
export function quantize(from: string, to: string, type: FileType, even = true, further: Further = {}): void {
  bound ??= bind();
  const importance = evenImportance(from);
  try {
    const imatrix = even ? importance.address : 0n;
    const options = { nthread: 1, ftype: FILE_TYPES[type], allow_requantize: true, imatrix, ...further };
    const status = bound.quantize(from, to, { ...bound.defaults(), ...options });
    if (status !== 0) throw new Error(`llama_model_quantize to ${type} failed`);
  } finally {
    unmap(importance);
  }
}

/** An array of llama_model_imatrix_data (name, data, size) for all matrices, ended by zeros, and what it points to. */
function evenImportance(file: string): Mapping {
  const { checkpoint } = openGguf(file);
  const tensors = [...checkpoint.tensors.values()].filter(({ shape }) => shape.length > 1);
  checkpoint.close();
  const names = tensors.map(({ name }) => Buffer.from(`${name}\0`));
  const sizes = tensors.map(({ shape }) => shape.at(-1)! * (shape.length > 2 ? shape[0]! : 1));
  const entries = 24 * (tensors.length + 1);
  const ones = Math.max(...sizes);
  const text = entries + 4 * ones;
  const memory = mapAnonymous('importance', text + Buffer.concat(names).length);
  const words = new BigUint64Array(view(memory.address, entries));
  new Float32Array(view(memory.address + BigInt(entries), 4 * ones)).fill(1);
  let at = memory.address + BigInt(text);
  names.forEach((name, i) => {
    new Uint8Array(view(at, name.length)).set(name);
    words.set([at, memory.address + BigInt(entries), BigInt(sizes[i]!)], 3 * i);
    at += BigInt(name.length);
  });
  return memory;
}
