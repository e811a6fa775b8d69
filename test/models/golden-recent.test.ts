import { goldenTest } from '../engine/golden.js';

/** The families of 2025 and 2026 that have expected values. */
const models = [
  'afmoe',
  'cohere2_moe',
  'deepseek_v32',
  'deepseek_v4',
  'dots1',
  'exaone_moe',
  'gemma4',
  'glm4_moe_lite',
  'glm_moe_dsa',
  'granitemoehybrid',
  'hunyuan_v1_moe',
  'hy_v3',
  'kimi_linear',
  'laguna',
  'lfm2_moe',
  'mimo_v2_flash',
  'minimax_m2',
  'mistral4',
  'nemotron_h',
  'qwen3_5_moe',
  'qwen3_next',
  'qwen3_vl_moe',
  'qwen4_exp',
  'solar_open',
];

// Every policy, residency and prompt of them: golden-all.ts.
const few = { models, policies: ['lanes'], cases: 1, tokens: 8 };

goldenTest({ ...few, accelerator: 'none', dtype: 'f32' });
goldenTest({ ...few, accelerator: 'host', dtype: 'auto', residencies: [50] });
