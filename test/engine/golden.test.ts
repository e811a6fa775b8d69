import { goldenTest } from './golden.js';

const models = ['mixtral', 'mixtral-tied', 'mini-mixtral'];

for (const dtype of ['f32', 'auto'] as const) {
  goldenTest({ accelerator: 'none', dtype, models });
  const sampled = { models: ['mixtral', 'gpt_oss'], residencies: [50], cases: 1, tokens: 4 };
  goldenTest({ accelerator: 'host', dtype, cpuKernels: 'native', ...sampled });
}
