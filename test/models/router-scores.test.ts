import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HostIntegers } from '../../src/models/parameters.js';
import { expertGroups, scoreRouter } from '../../src/models/router-scores.js';
import { fiddlerError } from '../support/errors.js';
import { choose, hostVector, logitsAndChosen, ranked, softmax } from './routing.js';

const logit = (probability: number) => Math.log(probability / (1 - probability));
function close(actual: readonly number[], expected: readonly number[]): void {
  for (const [i, a] of actual.entries()) expect(a).toBeCloseTo(expected[i]!, 5);
}

describe('softmax scores', () => {
  it('are the weights as they are', () => {
    const { ids, weights } = choose(scoreRouter({ chosen: 2, score: 'softmax' }), [1, 2, 5].map(Math.log));
    expect(ids).toEqual([2, 1]);
    close(weights, [5 / 8, 2 / 8]);
  });

  it('can be divided by their sum, and multiplied', () => {
    const router = scoreRouter({ chosen: 2, score: 'softmax', renormalise: {}, scale: 7 });
    close(choose(router, [1, 2, 5].map(Math.log)).weights, [5, 2]);
  });

  it('are corrected for choosing only', () => {
    const correction = hostVector([0.6, 0, 0]);
    const { ids, weights } = choose(scoreRouter({ chosen: 2, score: 'softmax', correction }), [1, 2, 5].map(Math.log));
    expect(ids).toEqual([0, 2]);
    close(weights, [1 / 8, 5 / 8]);
  });

  it('are divided by the minimum where their sum is less', () => {
    const router = scoreRouter({ chosen: 1, score: 'softmax', renormalise: { minimum: 2 } });
    close(choose(router, [Math.log(3), 0]).weights, [0.375]);
  });

  it('agree with a naive computation', () => {
    fc.assert(
      fc.property(logitsAndChosen, fc.boolean(), ([logits, chosen], renormalise) => {
        const router = scoreRouter({ chosen, score: 'softmax', renormalise: renormalise ? {} : undefined });
        const { ids, weights } = choose(router, logits);
        const scores = softmax(logits);
        // Scores that float32 cannot tell apart may come in either order.
        expect(new Set(ids).size).toBe(chosen);
        close(
          ids.map((id) => scores[id]!),
          ranked(scores)
            .slice(0, chosen)
            .map((id) => scores[id]!),
        );
        const sum = renormalise ? ids.reduce((total, id) => total + scores[id]!, 0) : 1;
        close(
          weights,
          ids.map((id) => scores[id]! / sum),
        );
      }),
    );
  });
});

describe('scores that are roots of softplus', () => {
  const score = 'root softplus' as const;
  const scoreOf = (logit: number) => Math.sqrt(Math.log(1 + Math.exp(logit)));

  it('are the weights of the best', () => {
    const { ids, weights } = choose(scoreRouter({ chosen: 2, score }), [-1, 3, 0.5]);
    expect(ids).toEqual([1, 2]);
    close(weights, [scoreOf(3), scoreOf(0.5)]);
  });

  it('are finite whatever the logits are', () => {
    const { weights } = choose(scoreRouter({ chosen: 2, score }), [1e4, -1e4]);
    close(weights, [100, 0]);
  });
});

describe('a table of experts', () => {
  const table = (...values: number[]) => {
    const integers = new HostIntegers('table', [values.length / 2, 2], () => 0);
    integers.values = BigInt64Array.from(values, BigInt);
    return integers;
  };
  const routed = (router: ReturnType<typeof scoreRouter>, logits: number[], token: number) => {
    const [ids, weights] = [new Int32Array(2), new Float32Array(2)];
    router.choose(Float32Array.from(logits), ids, weights, token);
    return { ids: [...ids], weights: [...weights] };
  };

  it('has those of a token whatever their scores are, which weigh them', () => {
    const router = scoreRouter({ chosen: 2, score: 'sigmoid', renormalise: {}, table: table(0, 1, 2, 0) });
    const logits = [0.2, 0.9, 0.6].map(logit);
    const [first, second] = [routed(router, logits, 0), routed(router, logits, 1)];
    expect(first.ids).toEqual([0, 1]);
    close(first.weights, [0.2 / 1.1, 0.9 / 1.1]);
    expect(second.ids).toEqual([2, 0]);
    close(second.weights, [0.75, 0.25]);
  });

  it('gives an expert that it names twice the weight of both', () => {
    const router = scoreRouter({ chosen: 2, score: 'sigmoid', renormalise: {}, scale: 1.5, table: table(1, 1) });
    const { ids, weights } = routed(router, [0, 0, 0], 0);
    expect(ids).toEqual([1, -1]);
    close(weights, [1.5, 0]);
  });
});

describe('groups', () => {
  const logits = [0.9, 0.1, 0.6, 0.5, 0.2, 0.8, 0.3, 0.4].map(logit);

  it('are judged by their two best: the best expert of all may be left out', () => {
    const groups = expertGroups('best two', { experts: 8, chosen: 3, count: 4, kept: 2 });
    const { ids, weights } = choose(scoreRouter({ chosen: 3, score: 'sigmoid', groups }), logits);
    expect(ids).toEqual([2, 3, 0].sort((a, b) => logits[b]! - logits[a]!));
    close(weights, [0.9, 0.6, 0.5]);
  });

  it('are judged by their best expert', () => {
    const groups = expertGroups('best', { experts: 8, chosen: 3, count: 4, kept: 2 });
    const { ids } = choose(scoreRouter({ chosen: 3, score: 'sigmoid', groups }), logits);
    expect(ids).toEqual([0, 5, 4]);
  });

  it('are judged by corrected scores; left-out ones count as −∞ even where all scores are negative', () => {
    const correction = hostVector([-3, -3, -2, -2, -3, -3, -3, -3]);
    const groups = expertGroups('best two', { experts: 8, chosen: 2, count: 4, kept: 1 });
    const router = scoreRouter({
      chosen: 2,
      score: 'sigmoid',
      correction,
      groups,
      renormalise: { epsilon: 1e-20 },
      scale: 2.2,
    });
    const { ids, weights } = choose(router, logits);
    expect(ids).toEqual([2, 3]);
    close(weights, [1.2, 1]);
  });

  it('must be equal, and hold enough experts', () => {
    const options = { experts: 8, chosen: 3, count: 4, kept: 2 };
    expect(expertGroups('best', { ...options, count: 1, kept: 1 })).toBeUndefined();
    expect(fiddlerError('unsupported', () => expertGroups('best', { ...options, count: 3 }))).toContain('n_group');
    expect(fiddlerError('unsupported', () => expertGroups('best', { ...options, kept: 1 }))).toContain('topk_group');
    expect(fiddlerError('unsupported', () => expertGroups('best', { ...options, kept: 5 }))).toContain('topk_group');
    expect(fiddlerError('unsupported', () => expertGroups('best two', { ...options, count: 8, kept: 4 }))).toContain(
      'n_group',
    );
  });
});
