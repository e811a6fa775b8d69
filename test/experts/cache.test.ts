import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SlotCache } from '../../src/experts/lanes/slot-cache.js';
import { StreamCache } from '../../src/experts/lanes/stream-cache.js';

const PASSING = 2;

/** What the cache should hold: the slots, the least recently used first. */
interface Model {
  slots: { slot: number; key?: number; used: boolean }[];
}

type Command = fc.Command<Model, SlotCache>;

const at = (model: Model, key: number) => model.slots.find((s) => s.key === key);

/** Moves a slot to the end, in use. */
function use(model: Model, chosen: Model['slots'][number], key: number | undefined): void {
  model.slots = [...model.slots.filter((s) => s !== chosen), { slot: chosen.slot, key, used: true }];
}

function expectSame(model: Model, cache: SlotCache): void {
  const cached = model.slots.filter(({ key }) => key !== undefined);
  expect(cached.length).toBeLessThanOrEqual(cache.size);
  for (const { key } of cached) expect(cache.has(key!)).toBe(true);
  expect(cache.free).toBe(model.slots.filter(({ used }) => !used).length);
}

class Find implements Command {
  constructor(private readonly key: number) {}
  check = () => true;
  run(model: Model, cache: SlotCache): void {
    const expected = at(model, this.key);
    expect(cache.has(this.key)).toBe(expected !== undefined);
    expect(cache.find(this.key)).toBe(expected?.slot);
    if (expected) use(model, expected, this.key);
    expectSame(model, cache);
  }
  toString = () => `find(${this.key})`;
}

class Take implements Command {
  constructor(private readonly key: number | undefined) {}
  check = (model: Model) => this.key === undefined || !at(model, this.key);
  run(model: Model, cache: SlotCache): void {
    const free = model.slots.filter(({ used }) => !used);
    const empty = free.filter(({ key }) => key === undefined);
    const expected = this.key === undefined && empty.length >= PASSING ? empty[0] : free[0];
    expect(cache.take(this.key)).toBe(expected?.slot);
    if (expected?.key !== undefined) expect(cache.has(expected.key)).toBe(false);
    if (expected) use(model, expected, this.key);
    expectSame(model, cache);
  }
  toString = () => `take(${this.key})`;
}

class TakeAll implements Command {
  constructor(private readonly keys: readonly number[]) {}
  check = (model: Model) => this.keys.every((key) => !at(model, key));
  run(model: Model, cache: SlotCache): void {
    const free = model.slots.filter(({ used }) => !used).slice(0, this.keys.length);
    const first = free[0]?.slot ?? 0;
    const turn = ({ slot }: { slot: number }) => (slot - first + cache.size) % cache.size;
    const expected = free.sort((a, b) => turn(a) - turn(b));
    expect(cache.takeAll(this.keys)).toEqual(expected.map(({ slot }) => slot));
    for (const [i, taken] of expected.entries()) use(model, taken, this.keys[i]);
    expectSame(model, cache);
  }
  toString = () => `takeAll(${this.keys})`;
}

class Hold implements Command {
  constructor(private readonly turn: number) {}
  check = () => true;
  run(model: Model, cache: SlotCache): void {
    const held = model.slots[this.turn % model.slots.length]!;
    cache.hold(held.slot);
    held.used = true;
    expectSame(model, cache);
  }
  toString = () => `hold(${this.turn})`;
}

class Release implements Command {
  constructor(private readonly turn: number) {}
  check = (model: Model) => model.slots.some(({ used }) => used);
  run(model: Model, cache: SlotCache): void {
    const used = model.slots.filter((s) => s.used);
    const released = used[this.turn % used.length]!;
    cache.release(released.slot);
    released.used = false;
    expectSame(model, cache);
  }
  toString = () => `release(${this.turn})`;
}

const key = fc.nat(11);
const commands = fc.commands(
  [
    key.map((k) => new Find(k)),
    fc.option(key, { nil: undefined }).map((k) => new Take(k)),
    fc.uniqueArray(key, { maxLength: 6 }).map((keys) => new TakeAll(keys)),
    fc.nat(7).map((turn) => new Hold(turn)),
    fc.nat(7).map((turn) => new Release(turn)),
    fc.nat(7).map((turn) => new Release(turn)),
    fc.nat(7).map((turn) => new Release(turn)),
  ],
  { size: '+1', maxCommands: 100 },
);

describe('the cache of streamed experts', () => {
  it('evicts the least recently used, never what is in use, and holds no more than it has slots', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 6 }), commands, (size, sequence) => {
        const setup = () => ({
          model: { slots: Array.from({ length: size }, (_, slot) => ({ slot, used: false })) } as Model,
          real: new SlotCache(size, PASSING),
        });
        fc.modelRun(setup, sequence);
      }),
      { numRuns: 200 },
    );
  });

  it('keeps what it holds while more than fits passes through', () => {
    const cache = new SlotCache(6, PASSING);
    const pass = (key?: number) => cache.release(cache.take(key)!);
    for (const key of [1, 2, 3, 4]) pass(key);
    const through = Array.from({ length: 20 }, () => {
      const slot = cache.take()!;
      cache.release(slot);
      return slot;
    });
    expect([1, 2, 3, 4].every((key) => cache.has(key))).toBe(true);
    expect(new Set(through).size).toBe(PASSING); // in turns, so that one is filled while the other is computed with
    expect(through[0]).not.toBe(through[1]);
  });
});

describe('the slots for streaming', () => {
  const serve = (
    cache: StreamCache,
    key: number,
    share: { cached?: true; range?: { from: number; to: number } } = {},
  ) => {
    const { slot, found } = cache.serve(key, share);
    cache.release(slot);
    return found;
  };

  it('say of each expert whether it is copied, was there, or was copied ahead', () => {
    const cache = new StreamCache(4);
    expect(serve(cache, 1)).toBe('copied');
    expect(serve(cache, 1, { cached: true })).toBe('cached');
    expect(serve(cache, 1)).toBe('copied'); // as decided, though it is there
    expect(serve(cache, 2, { range: { from: 0, to: 64 } })).toBe('copied');
    expect(cache.has(2)).toBe(false);
    expect(cache.needAll([3])[0]).toBe(3); // the others were used since
    expect(cache.needAll([3])[0]).toBeUndefined();
    expect(serve(cache, 3, { cached: true })).toBe('prefetched');
    expect(serve(cache, 3, { cached: true })).toBe('cached');
  });

  it('count as wasted what was copied ahead and displaced before it was needed', () => {
    const cache = new StreamCache(3);
    expect(cache.needAll([1])[0]).toBe(0);
    for (const key of [10, 11, 12]) serve(cache, key);
    expect(cache.has(1)).toBe(false);
    for (const key of [10, 11, 12]) expect(serve(cache, key, { cached: true })).toBe('cached');
    expect(cache.settle()).toBe(1);
    expect(cache.settle()).toBe(0);
  });

  it('keep what was guessed until the layer is over, and leave room for what is needed', () => {
    const cache = new StreamCache(4);
    const guessed = [1, 2, 3].map((key) => cache.guess(key));
    expect(guessed.map((slot) => slot !== undefined)).toEqual([true, true, false]);
    for (let key = 10; key < 20; key++) serve(cache, key);
    expect(serve(cache, 1, { cached: true })).toBe('prefetched');
    expect(cache.settle()).toBe(1);
    for (let key = 10; key < 20; key++) serve(cache, key);
    expect([1, 2].map((key) => cache.has(key))).toEqual([false, false]);
  });

  it('give experts that are copied in turn neighbouring slots, layer by layer', () => {
    const cache = new StreamCache(10);
    const layer = (l: number) => Array.from({ length: 7 }, (_, e) => 100 * l + e);
    for (let l = 0; l < 20; l++) {
      const [ahead, rest] = [layer(l).slice(0, 4), layer(l).slice(4)];
      const slots = cache.needAll(ahead);
      const found = cache.serveAll([...ahead].reverse().map((key) => ({ key, cached: true })));
      for (const { slot } of found) cache.release(slot);
      const served = cache.serveAll(rest.map((key) => ({ key })));
      for (const { slot } of served) cache.release(slot);
      expect([...slots, ...served.map(({ slot }) => slot)]).toEqual(layer(l).map((_, i) => (7 * l + i) % 10));
      expect(found.every((each) => each.found === 'prefetched')).toBe(true);
      expect(cache.settle()).toBe(0);
    }
  });

  it('keep what a batch finds, however much it copies', () => {
    const cache = new StreamCache(4);
    for (const key of [1, 2, 3, 4]) serve(cache, key);
    const served = cache.serveAll([{ key: 5 }, { key: 6 }, { key: 1, cached: true }, { key: 2, cached: true }]);
    expect(served.map(({ found }) => found)).toEqual(['copied', 'copied', 'cached', 'cached']);
    expect(new Set(served.map(({ slot }) => slot)).size).toBe(4);
  });
});
