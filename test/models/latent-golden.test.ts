import { goldenTest } from '../engine/golden.js';

const models = ['deepseek_v2', 'deepseek_v2-yarn', 'deepseek_v3', 'deepseek_v3-yarn', 'gpt_oss', 'gpt_oss-mxfp4'];

// Every policy, residency and prompt of them: golden-all.ts.
const few = { models, policies: ['lanes'], cases: 1, tokens: 8 };

goldenTest({ ...few, accelerator: 'none', dtype: 'f32' });
goldenTest({ ...few, accelerator: 'host', dtype: 'auto', residencies: [50] });
