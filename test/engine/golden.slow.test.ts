import { expect, it } from 'vitest';
import { goldenNames } from '../../bench/golden-data.js';
import { loadEngine } from '../../src/engine/load.js';
import { goldenTest, unbuilt } from './golden.js';

const models = goldenNames('test/golden');
/** Software Vulkan is slow: the other families' tests run theirs there, at fewer residencies. */
const onVulkan = ['mixtral', 'mixtral-tied', 'mini-mixtral'];
/** A second gate, and MXFP4 where it is not upcast. */
const onlyByGgml = { f32: ['openmoe'], auto: ['openmoe', 'gpt_oss-mxfp4'] };

for (const dtype of ['f32', 'auto'] as const) {
  const natively = models.filter((name) => !onlyByGgml[dtype].includes(name));
  for (const accelerator of ['none', 'host'] as const) {
    goldenTest({ accelerator, dtype, cpuKernels: 'native', models: natively });
    goldenTest({ accelerator, dtype, cpuKernels: 'ggml', models });
  }
  it.skipIf(unbuilt).each(onlyByGgml[dtype])(`${dtype}: the native kernels refuse %s`, (name) => {
    const load = () => loadEngine(`test/golden/${name}`, { accelerator: 'host', dtype, cpuKernels: 'native', ctx: 64 });
    expect(load).toThrow('the native CPU kernels do not compute this model');
  });
  for (const model of onVulkan) goldenTest({ accelerator: 'vulkan', dtype, models: [model] });
}
