import { expect, it } from 'vitest';
import { checkDecoding } from './long-context.js';

it.each(['none', 'host'] as const)('decoding behind 6,000 tokens computes what prefill does, on %s', (accelerator) => {
  expect.hasAssertions();
  checkDecoding(accelerator, 6000);
});
