import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ErrorCode, FiddlerError } from '../../src/errors.js';
import { Admission, type Place } from '../../src/server/admission.js';
import { parseBody } from '../../src/server/body.js';
import { HttpError } from '../../src/server/errors.js';
import { merge } from '../../src/server/merge.js';
import { Parts } from '../../src/server/parts.js';

describe('Admission', () => {
  const step = fc.oneof(
    fc.record({ enter: fc.integer({ min: 1, max: 5 }) }),
    fc.record({ leave: fc.nat({ max: 20 }) }),
  );

  it('never runs more than it may, and lets nobody wait while there is room', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 3 }),
        fc.nat({ max: 4 }),
        fc.array(step),
        async (parallel, queue, steps) => {
          const admission = new Admission(parallel, queue);
          const places: (Place & { state: 'waiting' | 'running' })[] = [];
          for (const todo of steps) {
            if ('enter' in todo) {
              const fits = todo.enter <= parallel + queue - places.length;
              const enter = () => admission.enter(todo.enter);
              if (!fits) {
                expect(enter).toThrow(HttpError);
                continue;
              }
              for (const place of enter()) {
                const entry = { ...place, state: 'waiting' as 'waiting' | 'running' };
                place.ready.then(
                  () => (entry.state = 'running'),
                  () => {},
                );
                places.push(entry);
              }
            } else {
              const [left] = places.splice(todo.leave, 1);
              left?.leave();
              left?.leave(); // once is enough, twice does no harm
            }
            await Promise.resolve().then(() => {});
            const running = Math.min(parallel, places.length);
            expect(admission.running).toBe(running);
            expect(admission.waiting).toBe(places.length - running);
            expect(places.filter(({ state }) => state === 'running')).toHaveLength(running);
          }
        },
      ),
    );
  });

  it('says how long to wait, and turns away what waits', async () => {
    let now = 0;
    const admission = new Admission(1, 1, () => now);
    const [first] = admission.enter(1);
    const [second] = admission.enter(1);
    expect(() => admission.enter(1)).toThrow(expect.objectContaining({ status: 429, retryAfter: 5 }));
    now = 100_000;
    first!.leave();
    await second!.ready;
    const [third] = admission.enter(1);
    expect(() => admission.enter(1)).toThrow(expect.objectContaining({ retryAfter: 24 }));
    admission.refuseWaiting(new HttpError(503, 'unavailable', 'the end'));
    await expect(third!.ready).rejects.toThrow('the end');
    expect(admission.waiting).toBe(0);
  });
});

describe('a body', () => {
  it('is what JSON.parse makes of it, whatever is in its strings', () => {
    fc.assert(fc.property(fc.json({ maxDepth: 5 }), (text) => void expect(parseBody(text)).toEqual(JSON.parse(text))));
    const brackets = fc.string({ unit: fc.constantFrom('[', '{', '"', '\\', ']') });
    fc.assert(fc.property(fc.array(brackets), (value) => void expect(parseBody(JSON.stringify(value))).toEqual(value)));
  });

  it('may be 100 levels deep', () => {
    const deep = (levels: number) => `${'[{"a":'.repeat(levels / 2)}1${'}]'.repeat(levels / 2)}`;
    expect(parseBody(deep(100))).toEqual(JSON.parse(deep(100)));
    expect(() => parseBody(deep(102))).toThrow('deeper');
    expect(() => parseBody('['.repeat(1_000_000))).toThrow('deeper');
    expect(() => parseBody('"'.repeat(3))).toThrow('not JSON');
  });
});

describe('merge', () => {
  async function* count(to: number, ended: number[]) {
    try {
      for (let i = 0; i < to; i++) yield i;
      return to;
    } finally {
      ended.push(to);
    }
  }

  it('gives all of each in its order, and what each returned', async () => {
    const ended: number[] = [];
    const found: number[][] = [[], [], []];
    const done: number[] = [];
    for await (const part of merge([2, 0, 5].map((to) => count(to, ended)))) {
      if ('done' in part) done[part.index] = part.done;
      else found[part.index]!.push(part.item);
    }
    expect(found).toEqual([[0, 1], [], [0, 1, 2, 3, 4]]);
    expect(done).toEqual([2, 0, 5]);
  });

  it('ends all where its reader leaves, or one fails', async () => {
    const ended: number[] = [];
    for await (const _ of merge([count(3, ended), count(4, ended)])) break;
    await new Promise(setImmediate);
    expect(ended.sort()).toEqual([3, 4]);
    async function* fail(): AsyncGenerator<number, number> {
      yield 1;
      throw new Error('it failed');
    }
    const reading = (async () => {
      for await (const _ of merge([fail(), count(1e9, ended)]));
    })();
    await expect(reading).rejects.toThrow('it failed');
    const slowly = async () => {
      for await (const _ of merge([fail()])) await new Promise(setImmediate); // it fails meanwhile
    };
    await expect(slowly()).rejects.toThrow('it failed');
    await new Promise(setImmediate);
    expect(ended).toContain(1e9);
  });
});

describe('an error', () => {
  it('is described to clients where they caused it, and else only to the log', () => {
    const of = (code: ErrorCode) => HttpError.of(new FiddlerError(code, 'something in /home/me', 'look there'));
    expect(of('usage')).toMatchObject({ status: 400, message: 'something in /home/me; look there' });
    for (const code of ['memory', 'file', 'network', 'device', 'numeric', 'internal'] as const) {
      expect(of(code).status).toBeGreaterThanOrEqual(500);
      expect(of(code).message).not.toContain('/home');
      expect(of(code).cause).toMatchObject({ problem: 'something in /home/me' });
    }
  });
});

describe('the parts of an answer', () => {
  it('keep the end of a call before the text behind it, and the next call after, from one token', () => {
    const parts = new Parts(2);
    parts.add({ token: 1, text: '', calls: [{ index: 0, id: 'a', name: 'find', arguments: '{"n": ' }] });
    const calls = [
      { index: 0, arguments: '1}' },
      { index: 1, id: 'b', name: 'say', arguments: '{' },
      { index: 1, arguments: '}' },
      { index: 2, id: 'c', name: 'more' },
    ];
    expect(parts.add({ token: 2, text: ' and ', calls }).map(({ at, isNew }) => [at, isNew])).toEqual([
      ...[
        [0, false],
        [1, true],
        [2, true],
        [2, false],
      ],
    ]);
    expect(parts.all).toEqual([
      { kind: 'call', id: 'a', name: 'find', arguments: '{"n": 1}' },
      { kind: 'text', text: ' and ' },
      { kind: 'call', id: 'b', name: 'say', arguments: '{}' },
    ]);
  });
});
