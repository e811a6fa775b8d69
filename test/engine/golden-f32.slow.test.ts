import { goldenNames } from '../../bench/golden-data.js';
import { goldenTest } from './golden.js';
import { goldenTests } from './golden-all.js';

goldenTests('f32');
for (const chunk of [1, 7, 64]) {
  goldenTest({ accelerator: 'none', dtype: 'f32', models: goldenNames('test/golden'), policies: ['static'], chunk });
}
goldenTest({ accelerator: 'vulkan', dtype: 'f32', models: ['mixtral'], tokens: 4 });
goldenTest({ accelerator: 'vulkan', dtype: 'f32', models: ['deepseek_v4'], residencies: [0, 50, 100], tokens: 4 });
for (const chunk of [1, 7, 64]) {
  const models = ['deepseek_v4'];
  const setting = { policies: ['lanes'], residencies: [50], tokens: 2, chunk };
  goldenTest({ accelerator: 'vulkan', dtype: 'f32', models, ...setting });
}

const MIXTRAL_EXPERT = 3 * 64 * 64 * 4;
goldenTest({
  accelerator: 'vulkan',
  dtype: 'f32',
  models: ['mixtral'],
  residencies: [25],
  cases: 1,
  expertCache: 3 * MIXTRAL_EXPERT,
});
