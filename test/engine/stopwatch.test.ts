import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Stopwatch } from '../../src/engine/stopwatch.js';

describe('a stopwatch', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['performance'], now: 5000 });
    vi.advanceTimersByTime(1000); // so that no time is zero
  });
  afterEach(() => void vi.useRealTimers());

  it('counts prefill up to the first token, and decoding from there', () => {
    const watch = new Stopwatch(100);
    watch.cachedTokens = 60;
    vi.advanceTimersByTime(500);
    watch.token();
    for (let i = 0; i < 10; i++) {
      vi.advanceTimersByTime(20);
      watch.token();
    }
    vi.advanceTimersByTime(3000); // what comes after the last token is no part of decoding
    expect(watch.times()).toEqual({
      promptTokens: 100,
      cachedTokens: 60,
      generatedTokens: 11,
      ttft: 0.5,
      prefillRate: 80,
      decodeRate: 50,
    });
  });

  it('gives no decoding rate for a single token', () => {
    const watch = new Stopwatch(3);
    vi.advanceTimersByTime(10);
    watch.token();
    expect(watch.times()).toMatchObject({ generatedTokens: 1, ttft: 0.01, decodeRate: 0 });
  });

  it('gives zeros where nothing was computed', () => {
    expect(new Stopwatch(3).times()).toMatchObject({ generatedTokens: 0, ttft: 0, prefillRate: 0, decodeRate: 0 });
  });

  it('times a prefill alone', () => {
    const watch = new Stopwatch(50);
    vi.advanceTimersByTime(250);
    watch.prefilled();
    vi.advanceTimersByTime(250);
    watch.prefilled();
    expect(watch.times()).toMatchObject({ ttft: 0.25, prefillRate: 200, decodeRate: 0 });
  });
});
