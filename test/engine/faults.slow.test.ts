import { describe } from 'vitest';
import { faultTest } from './faults.js';

describe('a failure leaves nothing broken', () => {
  faultTest({ accelerator: 'none', models: ['mixtral', 'switch'], every: 41 });
  faultTest({ accelerator: 'host', models: ['mixtral', 'switch'], every: 43 });
  faultTest({ accelerator: 'host', models: ['mixtral'], every: 23, cpuKernels: 'native' });
  faultTest({ accelerator: 'host', models: ['mixtral'], every: 23, policy: 'stream' });
  faultTest({ accelerator: 'vulkan', models: ['mixtral'], every: 193 });
});
