import type { Model } from '../index.js';
import { loadOptions, type ModelFlags } from './options.js';
import { loadingProgress } from './progress.js';
import { presentModel } from './pull.js';
import { warn } from './warn.js';

/** Loads the model that the flags name, downloaded before where it is not here, with progress and warnings on stderr. Errors as `load`. */
export async function openModel(flags: ModelFlags, signal: AbortSignal): Promise<Model> {
  const path = await presentModel(flags, signal);
  const { load } = await import('../index.js'); // slow to import, and not needed for the help
  const progress = await loadingProgress();
  try {
    return await load(path, { ...loadOptions(flags), signal, onWarning: warn, onProgress: progress.update });
  } finally {
    progress.stop();
  }
}
