import koffi from 'koffi';
import { view } from '../../src/native/os/memory.js';
import { llamaLibrary, loadLlama, type Pointer } from './llama-model.js';

/** The fields in front of those that matter here by their sizes (llama.h, llama_context_params). */
const ContextParams = koffi.struct('llama_context_params', {
  context: 'uint32_t',
  batch: 'uint32_t',
  microBatch: 'uint32_t',
  counts: koffi.array('uint32_t', 4),
  threads: 'int32_t',
  batchThreads: 'int32_t',
  kinds: koffi.array('int32_t', 4),
  flashAttention: 'int32_t',
  rope: koffi.array('float', 6),
  originalContext: 'uint32_t',
  defragmentation: 'float',
  evaluated: 'void *',
  evaluatedData: 'void *',
  keyType: 'int32_t',
  valueType: 'int32_t',
  aborts: 'void *',
  abortsData: 'void *',
  flags: koffi.array('bool', 6),
  samplers: 'void *',
  samplerCount: 'size_t',
  other: 'void *',
});

const Batch = koffi.struct('llama_batch', {
  count: 'int32_t',
  tokens: 'void *',
  embeddings: 'void *',
  positions: 'void *',
  sequenceCounts: 'void *',
  sequences: 'void *',
  outputs: 'void *',
});

function bind() {
  const library = llamaLibrary();
  return {
    defaults: library.func('llama_context_default_params', ContextParams, []) as () => Record<string, unknown>,
    open: library.func('llama_init_from_model', 'void *', ['void *', ContextParams]) as (
      model: Pointer,
      params: Record<string, unknown>,
    ) => Pointer | null,
    close: library.func('llama_free', 'void', ['void *']) as (context: Pointer) => void,
    decode: library.func('llama_decode', 'int32_t', ['void *', Batch]) as (
      context: Pointer,
      batch: Record<string, unknown>,
    ) => number,
    logits: library.func('llama_get_logits', 'uintptr_t', ['void *']) as (context: Pointer) => bigint | number,
  };
}

let bound: ReturnType<typeof bind> | undefined;

/** Logits of every token [tokens, vocabulary] as llama.cpp computes them on the CPU, with a cache in float32. */
export function llamaLogits(file: string, tokens: readonly number[], vocabulary: number): Float32Array {
  bound ??= bind();
  const { defaults, open, close, decode, logits } = bound;
  const params = { ...defaults(), context: 512, threads: 1, batchThreads: 1, keyType: 0, valueType: 0 };
  const context = open(loadLlama(file), params);
  if (!context) throw new Error(`llama.cpp makes no context for ${file}`);
  try {
    const [ids, outputs] = [Int32Array.from(tokens), new Int8Array(tokens.length).fill(1)];
    const status = decode(context, { count: tokens.length, tokens: ids, outputs });
    if (status !== 0) throw new Error(`llama_decode gives ${status}`);
    return new Float32Array(view(BigInt(logits(context)), 4 * tokens.length * vocabulary).slice(0));
  } finally {
    close(context);
  }
}
