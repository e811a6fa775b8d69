import { describe, expect, it } from 'vitest';
import { openWeights } from '../../src/loading/layout.js';
import { syntheticSource } from '../../src/loading/synthetic.js';
import { sampleOf } from '../../src/planning/sample.js';
import { fiddlerError } from '../support/errors.js';

describe('a sample of a model', () => {
  const whole = syntheticSource('olmoe-1b-7b', { empty: true });
  const source = { ...whole, config: { ...whole.config, vocab_size: 4096, hidden_size: 512, intermediate_size: 256 } };
  /** Bytes of its weights, and how many tensors have memory of their own. */
  const sampled = (room: number) => {
    const { checkpoint, blueprint } = openWeights(sampleOf(source, room), {});
    const bytes = checkpoint.regions.reduce((sum, region) => sum + region.bytes, 0);
    const distinct = new Set([...checkpoint.tensors.values()].map(({ address }) => address)).size;
    checkpoint.close();
    return { bytes, distinct, layers: blueprint.expertLayers.length };
  };

  it('takes no more than the room there is, with fewer experts of its own', () => {
    const free = sampled(2 ** 34);
    const room = 0.75 * free.bytes;
    const bounded = sampled(room);
    expect(free.layers).toBe(2);
    expect(bounded.bytes).toBeLessThanOrEqual(room);
    expect(bounded.bytes).toBeGreaterThan(0.7 * free.bytes);
    expect(bounded.distinct).toBeLessThan(free.distinct);
  });

  it('is refused before anything is filled, where not even what a token reads has room', () => {
    expect(fiddlerError('memory', () => sampled(2 ** 22))).toMatch(/a sample of this model takes .* of RAM/);
  });
});
