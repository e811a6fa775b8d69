import { describe, it } from 'vitest';
import { kernelsMissing } from '../support/kernels.js';
import { sameAsAlone } from './batching.js';

const model = 'test/golden/mixtral';

describe('sequences that are computed at once', () => {
  it.each(['none', 'host'] as const)(
    'give what each gives alone, whatever arrives when, is cancelled, shared or resident on %s',
    (accelerator) => {
      sameAsAlone({ accelerator, model, runs: 30 });
    },
  );

  it.skipIf(kernelsMissing())('give that with the native CPU kernels, too', () => {
    sameAsAlone({ accelerator: 'host', model, runs: 20, options: { cpuKernels: 'native' } });
  });
});
