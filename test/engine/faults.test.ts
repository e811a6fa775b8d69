import { describe } from 'vitest';
import { faultTest } from './faults.js';

describe('a failure leaves nothing broken', () => {
  faultTest({ accelerator: 'none', models: ['mixtral', 'switch'], every: 997 });
  faultTest({ accelerator: 'host', models: ['mixtral'], every: 211 });
  faultTest({ accelerator: 'host', models: ['mixtral'], every: 997, always: true });
});
