import { expect, it } from 'vitest';
import { goldenNames } from '../../bench/golden-data.js';
import { loadEngine } from '../../src/engine/load.js';
import { goldenTest, unbuilt } from './golden.js';

const models = goldenNames('test/golden');
/** In the stored type a model differs on a GPU by its kernels alone: some of each kind. */
const IN_STORED_TYPE = [
  ...['mixtral', 'qwen3_moe', 'gpt_oss-mxfp4', 'deepseek_v3', 'gemma4', 'cohere2_moe', 'switch'],
  ...['qwen4_exp', 'deepseek_v32', 'glm_moe_dsa', 'deepseek_v4', 'kimi_linear'],
];
/** Its experts have a second gate. */
const ONLY_BY_GGML = 'openmoe';

/** Every model in one type on every accelerator; a process on software Vulkan compiles for minutes, so there are few. */
export function goldenTests(dtype: 'f32' | 'auto'): void {
  const natively = models.filter((name) => name !== ONLY_BY_GGML);
  goldenTest({ accelerator: 'none', dtype, cpuKernels: 'native', models: natively });
  goldenTest({ accelerator: 'none', dtype, cpuKernels: 'ggml', models });
  goldenTest({ accelerator: 'host', dtype, cpuKernels: 'native', models: natively, residencies: [50] });
  goldenTest({ accelerator: 'host', dtype, cpuKernels: 'ggml', models });
  const onVulkan = dtype === 'f32' ? models : IN_STORED_TYPE;
  goldenTest({ accelerator: 'vulkan', dtype, models: onVulkan, policies: ['lanes'], residencies: [50], tokens: 2 });

  it.skipIf(unbuilt)(`${dtype}: the native kernels refuse ${ONLY_BY_GGML}`, () => {
    const dir = `test/golden/${ONLY_BY_GGML}`;
    const load = () => loadEngine(dir, { accelerator: 'host', dtype, cpuKernels: 'native', ctx: 64 });
    expect(load).toThrow('the native CPU kernels do not compute this model');
  });
}
