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

// Every policy, residency and prompt of them: golden-all.ts.
const few = { models, policies: ['lanes'], cases: 1, tokens: 8 };

goldenTest({ ...few, accelerator: 'none', dtype: 'f32' });
goldenTest({ ...few, accelerator: 'host', dtype: 'auto', residencies: [50] });
