import type { Model } from '../index.js';
import { loadOptions, type ModelFlags } from './options.js';
import { loadingProgress } from './progress.js';

/** Loads the model that the flags name, with progress and warnings on stderr. Errors as `load`. */
export async function openModel(flags: ModelFlags, signal: AbortSignal): Promise<Model> {
  const { load } = await import('../index.js'); // slow to import, and not needed for the help
  const progress = await loadingProgress();
  const onWarning = (line: string) => process.stderr.write(`fiddler: warning: ${line}\n`);
  try {
    return await load(flags.model, { ...loadOptions(flags), signal, onWarning, onProgress: progress.update });
  } finally {
    progress.stop();
  }
}
