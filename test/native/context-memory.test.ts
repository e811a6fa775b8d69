import { describe, expect, it } from 'vitest';
import { ContextMemory } from '../../src/native/ggml/context-memory.js';
import { Resources } from '../../src/native/resources.js';

const LARGE = 300_000;

describe('memory for contexts', () => {
  it('is used again, by contexts of about the same size', () => {
    const memory = new ContextMemory();
    const first = memory.take(LARGE);
    const second = memory.take(LARGE);
    expect(first.bytes).toBeGreaterThanOrEqual(LARGE);
    expect(second.address).not.toBe(first.address);
    memory.give(first);
    expect(memory.take(LARGE + 1000)).toBe(first);
    memory.give(second);
    expect(memory.take(2 * LARGE)).not.toBe(second);
    memory.free();
  });

  it('is kept up to a bound, and ends with its owner', () => {
    const owner = new Resources();
    const memory = owner.during(() => new ContextMemory());
    const taken = Array.from({ length: 200 }, () => memory.take(LARGE));
    for (const each of taken) memory.give(each);
    const known = new Set(taken);
    const again = Array.from({ length: 200 }, () => memory.take(LARGE)).filter((each) => known.has(each));
    expect(again.length).toBeGreaterThan(0);
    expect(again.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThanOrEqual(8 << 20);
    expect(owner.count).toBe(1);
    owner.free();
  });
});
