import { expect, it } from 'vitest';
import { checkDecoding } from './long-context.js';

it('decoding behind 32,768 tokens computes what prefill does', () => {
  expect.hasAssertions();
  checkDecoding('none', 32_768);
}, 600_000);
