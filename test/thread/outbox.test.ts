import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Outbox } from '../../src/thread/outbox.js';

describe('items on their way to another thread', () => {
  const posted: number[][] = [];
  let outbox: Outbox<number>;
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['performance'] });
    posted.length = 0;
    outbox = new Outbox<number>((items) => posted.push(items));
  });
  afterEach(() => vi.useRealTimers());

  it('go at once where they are slow', () => {
    for (let i = 0; i < 4; i++) {
      outbox.add(i);
      outbox.flushDue();
      vi.advanceTimersByTime(20);
    }
    expect(posted).toEqual([[0], [1], [2], [3]]);
  });

  it('go together where they are fast, in their order, the first at once', () => {
    for (let i = 0; i < 20; i++) {
      outbox.add(i);
      outbox.flushDue();
      vi.advanceTimersByTime(1);
    }
    outbox.flush();
    expect(posted[0]).toEqual([0]);
    expect(posted.length).toBeLessThan(6);
    expect(posted.flat()).toEqual(Array.from({ length: 20 }, (_, i) => i));
  });

  it('go together where they come between two occasions', () => {
    for (let i = 0; i < 4; i++) outbox.add(i);
    outbox.flushDue();
    expect(posted).toEqual([[0, 1, 2, 3]]);
  });

  it('do not wait where one is urgent', () => {
    for (let i = 0; i < 4; i++) {
      outbox.add(i, i === 2);
      outbox.flushDue();
    }
    outbox.flush();
    expect(posted).toEqual([[0], [1, 2], [3]]);
  });

  it('go when they are flushed, and nothing goes where nothing waits', () => {
    outbox.add(1);
    outbox.flush();
    outbox.flush();
    expect(posted).toEqual([[1]]);
  });
});
