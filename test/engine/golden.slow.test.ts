import { goldenNames } from '../../bench/golden-data.js';
import { goldenTest } from './golden.js';

const models = goldenNames('test/golden');
/** Software Vulkan is slow: the other families' tests run theirs there, at fewer residencies. */
const onVulkan = ['mixtral', 'mixtral-tied', 'mini-mixtral'];

for (const dtype of ['f32', 'auto'] as const) {
  for (const cpuKernels of ['native', 'ggml'] as const) {
    // The native kernels compute MXFP4 only where it is upcast.
    const computed = models.filter((name) => cpuKernels === 'ggml' || dtype === 'f32' || !name.includes('mxfp4'));
    for (const accelerator of ['none', 'host'] as const)
      goldenTest({ accelerator, dtype, cpuKernels, models: computed });
  }
  for (const model of onVulkan) goldenTest({ accelerator: 'vulkan', dtype, models: [model] });
}
