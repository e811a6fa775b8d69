import { describe } from 'vitest';
import { faultTest } from './faults.js';

/** All but `measuring`, of which a case takes half a second. */
const parts = 'loading warmUp prefill decode encode score profile together leaving exchange closing'.split(' ');

describe('a failure leaves nothing broken', () => {
  faultTest({ accelerator: 'none', models: ['mixtral', 'switch'], every: 211, parts });
  faultTest({ accelerator: 'host', models: ['mixtral'], every: 53, parts });
  faultTest({ accelerator: 'host', models: ['mixtral'], every: 211, always: true, parts });
  faultTest({ accelerator: 'host', models: ['mixtral'], every: 997, parts: ['measuring'] });
});
