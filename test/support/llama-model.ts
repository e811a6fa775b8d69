import { join } from 'node:path';
import koffi, { type LibraryHandle } from 'koffi';
import { onTestFinished } from 'vitest';
import { loadLibraries } from '../../src/native/ggml/libraries.js';

/** The fields in front of those that matter here are pointers and enumerations (llama.h, llama_model_params). */
const Params = koffi.struct('llama_model_params', {
  devices: 'void *',
  overrides: 'void *',
  gpuLayers: 'int32_t',
  splitMode: 'int',
  loadMode: 'int',
  lazyMode: 'int',
  mainGpu: 'int32_t',
  tensorSplit: 'void *',
  progress: 'void *',
  progressData: 'void *',
  keyOverrides: 'void *',
  vocabOnly: 'bool',
  checkTensors: 'bool',
  extraBuffers: 'bool',
  noHost: 'bool',
  noAlloc: 'bool',
  loadMtp: 'bool',
});

export type Pointer = bigint;

let opened: LibraryHandle | undefined;

/** llama.cpp's library, which lies beside ggml's and says nothing. */
export function llamaLibrary(): LibraryHandle {
  if (opened) return opened;
  const { paths } = loadLibraries();
  opened = koffi.load(join(paths.folder, 'libllama.v0.5.0.so'));
  const log = koffi.proto('void llama_log(int level, const char *text, void *data)');
  const silent = koffi.register(() => {}, koffi.pointer(log));
  opened.func('llama_log_set', 'void', [koffi.pointer(log), 'void *'])(silent, null);
  return opened;
}

function bind() {
  const library = llamaLibrary();
  return {
    defaults: library.func('llama_model_default_params', Params, []) as () => Record<string, unknown>,
    load: library.func('llama_model_load_from_file', 'void *', ['str', Params]) as (
      file: string,
      params: Record<string, unknown>,
    ) => Pointer | null,
    free: library.func('llama_model_free', 'void', ['void *']) as (model: Pointer) => void,
  };
}

let bound: ReturnType<typeof bind> | undefined;

/** A GGUF file in llama.cpp, on the CPU, until the test ends. */
export function loadLlama(file: string, vocabOnly = false): Pointer {
  bound ??= bind();
  const { defaults, load, free } = bound;
  const model = load(file, { ...defaults(), vocabOnly, gpuLayers: 0 });
  if (!model) throw new Error(`llama.cpp does not load ${file}`);
  onTestFinished(() => free(model));
  return model;
}
