import { describe, it } from 'vitest';
import { sameAsAlone } from './batching.js';

describe.each(['none', 'host'] as const)('sequences that are computed at once on %s', (accelerator) => {
  it('give what each gives alone, whatever arrives when, is cancelled, shared or resident', () => {
    sameAsAlone({ accelerator, model: 'test/golden/mixtral', runs: 30 });
  });
});
