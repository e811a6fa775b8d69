import { goldenNames } from '../../bench/golden-data.js';
import { goldenTest } from './golden.js';

const models = goldenNames('test/golden');

for (const dtype of ['f32', 'auto'] as const) {
  for (const accelerator of ['none', 'host', 'vulkan'] as const) goldenTest({ accelerator, dtype, models });
}
