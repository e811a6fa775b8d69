import { afterAll, expect, it } from 'vitest';
import { bundled, checkAnswers } from './sampled.js';

const model = bundled();
afterAll(() => model.grammars.close());

it('answers to 1,000 schemas fit them, whatever tokens are chosen', async () => {
  const whole = await checkAnswers(model, 1000);
  console.log(`${whole} answers were whole`);
  expect(whole).toBeGreaterThan(500);
});
