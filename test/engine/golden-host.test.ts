import { goldenTest } from './golden.js';

const models = ['mixtral', 'mixtral-tied', 'mini-mixtral'];

// A process on software Vulkan compiles for half a minute; golden-*.slow.test.ts have all models there, and here.
goldenTest({ accelerator: 'host', dtype: 'f32', models, residencies: [0, 50, 100] });
goldenTest({ accelerator: 'host', dtype: 'auto', models, residencies: [25] });
