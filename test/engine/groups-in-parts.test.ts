import { afterEach, expect, it } from 'vitest';
import { acceleratorKind } from '../../src/devices/accelerators.js';
import { loadEngine } from '../../src/engine/load.js';
import { GroupOrder } from '../../src/experts/lanes/group-order.js';

const { byNumber } = acceleratorKind('host');
const { rows } = byNumber;
const { write } = GroupOrder.prototype;
afterEach(() => {
  byNumber.rows = rows;
  GroupOrder.prototype.write = write;
});

/** Log-probabilities of a text's tokens, and how many rows each product by number had. */
function score(most: number) {
  byNumber.rows = () => most;
  const products: number[] = [];
  GroupOrder.prototype.write = function (...args) {
    const written = write.apply(this, args);
    products.push(written.count / written.abreast);
    return written;
  };
  const text = Array.from({ length: 120 }, (_, i) => 1 + ((i * 37) % 250));
  const session = loadEngine('models/mini-mixtral', {
    accelerator: 'host',
    dtype: 'f32',
    ctx: 128,
    threads: 1,
    expertsResident: 0.5,
    policy: 'stream',
  });
  const scores: number[] = [];
  session.score(
    text,
    0,
    ({ logprob }) => scores.push(logprob ?? 0),
    () => false,
  );
  session.close();
  return { scores, products };
}

it('groups whose products have few rows each give what they give whole', () => {
  const [whole, parts] = [score(Infinity), score(8)];
  expect(Math.max(...whole.products)).toBeGreaterThan(16);
  expect(Math.max(...parts.products)).toBeLessThanOrEqual(8);
  expect(parts.scores).toHaveLength(whole.scores.length);
  for (const [i, score] of parts.scores.entries()) expect(score).toBeCloseTo(whole.scores[i]!, 4);
});
