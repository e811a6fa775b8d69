import { goldenTest } from '../engine/golden.js';

const models = [
  'qwen2_moe',
  'qwen3_moe',
  'olmoe',
  'phimoe',
  'phimoe-longrope-long',
  'phimoe-longrope-short',
  'granitemoe',
  'glm4_moe',
  'ernie4_5_moe',
  'deepseek_moe',
  'switch',
];

for (const dtype of ['f32', 'auto'] as const) {
  goldenTest({ accelerator: 'none', dtype, models });
  goldenTest({ accelerator: 'host', dtype, models, residencies: [0, 50, 100], tokens: 8 });
}
