import fc from 'fast-check';
import { expect, it } from 'vitest';
import { copiedAhead, LongCalls, surelyNeeded } from '../../src/experts/lanes/ahead.js';

const layers = fc
  .integer({ min: 1, max: 64 })
  .chain((count) => fc.record({ count: fc.constant(count), chosen: fc.integer({ min: 1, max: count }) }));

it('names each missing expert once, the most popular first, where each can expect tokens', () => {
  fc.assert(
    fc.property(layers, fc.integer({ min: 1, max: 4096 }), fc.infiniteStream(fc.nat(9)), (layer, tokens, numbers) => {
      const popularity = Array.from({ length: layer.count }, () => numbers.next().value as number);
      const isMissing = Array.from({ length: layer.count }, () => (numbers.next().value as number) > 4);
      const found = surelyNeeded(layer, tokens, popularity, (e) => isMissing[e]!);
      const all = popularity.reduce((sum, n) => sum + n + 1, 0);
      const needed = popularity.flatMap((n, e) => {
        return isMissing[e] && tokens * layer.chosen * (n + 1) >= 4 * all ? [e] : [];
      });
      expect([...found].sort((a, b) => a - b)).toEqual(needed);
      for (let i = 1; i < found.length; i++) {
        expect(popularity[found[i]!]!).toBeLessThanOrEqual(popularity[found[i - 1]!]!);
      }
    }),
  );
});

it('leaves out experts that hardly any token chose so far', () => {
  const popularity = [400, 0, 300, 0, 200, 100, 0, 0];
  expect(surelyNeeded({ count: 8, chosen: 2 }, 512, popularity, () => true)).toEqual([0, 2, 4, 5]);
  expect(surelyNeeded({ count: 8, chosen: 2 }, 8, popularity, () => true)).toEqual([0, 2]);
  expect(surelyNeeded({ count: 8, chosen: 2 }, 512, new Uint32Array(8), () => true)).toHaveLength(8);
});

it('leaves out experts that most of the last long calls left out, and takes them again once they are used', () => {
  const calls = new LongCalls([{ count: 4, chosen: 2 }]);
  const most = () => [0, 1, 2, 3].filter((expert) => calls.mostUse(0, expert));
  const used = (experts: number[], tokens = 8) => {
    const list = experts.map((expert) => ({ expert }));
    calls.used(0, list, tokens);
  };
  expect(most()).toEqual([0, 1, 2, 3]);
  used([0, 1], 7); // too few tokens to say anything
  expect(most()).toEqual([0, 1, 2, 3]);
  used([0, 1]);
  expect(most()).toEqual([0, 1]);
  for (let i = 0; i < 3; i++) used([0, 1, 2]);
  expect(most()).toEqual([0, 1, 2]);
  for (let i = 0; i < 5; i++) used([3]);
  expect(most()).toEqual([3]);
});

it('copies nothing ahead of a decoded token', () => {
  expect(surelyNeeded({ count: 8, chosen: 2 }, 1, undefined, () => true)).toEqual([]);
  expect(surelyNeeded({ count: 8, chosen: 2 }, 16, undefined, () => true)).toHaveLength(8);
});

it('copies the most popular as they lie in the file, as many as were streamed, and leaves a slot free', () => {
  const needed = [7, 2, 9, 1, 8];
  expect(copiedAhead(needed, 3, 10)).toEqual([2, 7, 9]);
  expect(copiedAhead(needed, 3, 10, (expert) => -expert)).toEqual([9, 7, 2]);
  expect(copiedAhead(needed, 9, 5)).toEqual([1, 2, 7, 9]);
  expect(copiedAhead(needed, 9, 1)).toEqual([]);
});
