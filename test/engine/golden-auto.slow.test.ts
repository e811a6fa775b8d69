import { goldenTest } from './golden.js';
import { goldenTests } from './golden-all.js';

goldenTests('auto');
goldenTest({ accelerator: 'vulkan', dtype: 'auto', models: ['mini-mixtral'], residencies: [25], cases: 1, tokens: 4 });
