import { goldenTest } from './golden.js';

const models = ['mixtral', 'mixtral-tied', 'mini-mixtral'];

for (const dtype of ['f32', 'auto'] as const) {
  goldenTest({ accelerator: 'none', dtype, models });
  goldenTest({ accelerator: 'host', dtype, models });
  const sampled = { models: ['mixtral', 'gpt_oss'], residencies: [50], cases: 1, tokens: 4 };
  goldenTest({ accelerator: 'host', dtype, cpuKernels: 'native', ...sampled });
  // A layer takes 8 ms on a software device; golden.slow.test.ts has all rows.
  goldenTest({ accelerator: 'vulkan', dtype, models: ['mixtral'], residencies: [50], tokens: 8 });
}

goldenTest({
  accelerator: 'vulkan',
  dtype: 'auto',
  models: ['mini-mixtral'],
  residencies: [25],
  cases: 1,
  tokens: 4,
});

const MIXTRAL_EXPERT = 3 * 64 * 64 * 4;
goldenTest({
  accelerator: 'vulkan',
  dtype: 'f32',
  models: ['mixtral'],
  residencies: [25],
  cases: 1,
  expertCache: 3 * MIXTRAL_EXPERT,
});
