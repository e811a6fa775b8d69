import { goldenTest } from '../engine/golden.js';

const models = ['deepseek_v2', 'deepseek_v2-yarn', 'deepseek_v3', 'deepseek_v3-yarn', 'gpt_oss', 'gpt_oss-mxfp4'];

for (const dtype of ['f32', 'auto'] as const) {
  goldenTest({ accelerator: 'none', dtype, models });
  goldenTest({ accelerator: 'host', dtype, models, residencies: [0, 50, 100], tokens: 8 });
}
