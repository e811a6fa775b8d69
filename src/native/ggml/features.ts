import koffi from 'koffi';
import { bind } from '../calls.js';
import { api, byAddress, type Pointer } from './api.js';
import { loadLibraries } from './libraries.js';

// ggml_backend_feature: const char* name; const char* value. The list ends with a name that is null.
const ENTRY_BYTES = 16n;

const library = bind({ features: 'void* ggml_backend_get_features(void* reg)' }, byAddress);

/** What the device's library was compiled to use, by ggml's names: AVX2, AVX512_BF16, AMX_INT8, … with their values. */
export function libraryFeatures(device: Pointer): Map<string, string> {
  const features = new Map<string, string>();
  const list: Pointer | null = library.features(device, api().deviceRegistry(device));
  if (!list) return features;
  for (let entry = list; ; entry += ENTRY_BYTES) {
    const name: string | null = koffi.decode(entry, 'const char*');
    if (!name) return features;
    features.set(name, koffi.decode(entry + ENTRY_BYTES / 2n, 'const char*'));
  }
}

/** ggml's own version, such as 0.25.1. */
export function ggmlVersion(): string {
  return loadLibraries().base.func('const char* ggml_version()')();
}
