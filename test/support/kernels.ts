import { loadExpertKernels } from '../../src/native/kernels.js';

/** Why this machine cannot test the native kernels; undefined where it can. */
export function kernelsMissing(): string | undefined {
  return loadExpertKernels() ? undefined : 'the native CPU kernels were not built (node native/build.mjs says why)';
}
