import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Stream } from '../../src/thread/stream.js';

async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of stream) items.push(item);
  return items;
}

describe('Stream', () => {
  it('gives every item once and in order, however pushing and reading take turns', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(fc.nat(), { maxLength: 3 }), { maxLength: 8 }), async (bursts) => {
        const stream = new Stream<number>(() => {});
        const reading = collect(stream);
        for (const burst of bursts) {
          for (const item of burst) stream.push(item);
          if (burst.length % 2 === 0) await new Promise(setImmediate);
        }
        stream.end();
        expect(await reading).toEqual(bursts.flat());
      }),
      { numRuns: 50 },
    );
  });

  it('gives what came before an error, then throws it', async () => {
    const stream = new Stream<number>(() => {});
    stream.push(1);
    stream.fail(new Error('broken'));
    const items: number[] = [];
    const reading = (async () => {
      for await (const item of stream) items.push(item);
    })();
    await expect(reading).rejects.toThrow('broken');
    expect(items).toEqual([1]);
  });

  it('tells when its reader leaves early, and only then', async () => {
    let left = 0;
    const early = new Stream<number>(() => left++);
    early.push(1);
    early.push(2);
    for await (const item of early) if (item === 1) break;
    expect(left).toBe(1);
    expect((await early[Symbol.asyncIterator]().next()).value).toBe(2);

    const read = new Stream<number>(() => left++);
    read.push(1);
    read.end();
    await collect(read);
    expect(left).toBe(1);
  });
});
