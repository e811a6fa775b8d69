import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { choosePlace, type Held, Sequences, sourceFor } from '../../src/engine/sequences.js';

class Tokens implements Held {
  constructor(
    readonly tokens: readonly number[],
    readonly name: number,
  ) {}

  get length(): number {
    return this.tokens.length;
  }

  served(prompt: readonly number[]): number {
    let same = 0;
    while (same < Math.min(this.length, prompt.length - 1) && this.tokens[same] === prompt[same]) same++;
    return same;
  }
}

/** Few tokens, so that texts begin alike. */
const text = fc.array(fc.nat(1), { maxLength: 60 });
const cases = fc
  .tuple(fc.array(text, { minLength: 1, maxLength: 6 }), fc.array(fc.boolean(), { minLength: 6, maxLength: 6 }), text)
  .map(([texts, busy, prompt]) => {
    const all = texts.map((tokens, i) => new Tokens(tokens, i));
    const free = all.filter((_, i) => !busy[i]);
    return { all, free: free.length > 0 ? free : [all[0]!], prompt: [...prompt, 1] };
  });

describe('where a prompt is computed', () => {
  it('is a free extent, and what is copied there is of the prompt and more than that has', () => {
    fc.assert(
      fc.property(cases, ({ all, free, prompt }) => {
        const sequence = choosePlace(free, prompt, true);
        expect(free).toContain(sequence);
        const source = sourceFor(sequence, all, prompt);
        if (!source) return;
        const { from, shared } = source;
        expect(from).not.toBe(sequence);
        expect(from.tokens.slice(0, shared)).toEqual(prompt.slice(0, shared));
        expect(shared).toBeGreaterThan(sequence.served(prompt));
        expect(shared).toBe(Math.max(...all.map((each) => each.served(prompt))));
      }),
    );
  });

  it('serves as much of the prompt as any extent has', () => {
    fc.assert(
      fc.property(cases, ({ all, free, prompt }) => {
        const sequence = choosePlace(free, prompt, true);
        const shared = sourceFor(sequence, all, prompt)?.shared ?? 0;
        const most = Math.max(...all.map((each) => each.served(prompt)));
        expect(Math.max(shared, sequence.served(prompt))).toBe(most);
      }),
    );
  });

  it('is the free extent that serves most where nothing can be copied', () => {
    fc.assert(
      fc.property(cases, ({ all, free, prompt }) => {
        const sequence = choosePlace(free, prompt, false);
        expect(new Sequences(all, false).sourceFor(sequence, prompt)).toBeUndefined();
        expect(sequence.served(prompt)).toBe(Math.max(...free.map((each) => each.served(prompt))));
      }),
    );
  });

  it('is that of the same conversation, which goes on, and else the least recently used', () => {
    const conversations = [1, 2, 3].map(
      (n) =>
        new Tokens(
          Array.from({ length: 40 }, () => n),
          n,
        ),
    );
    const sequences = new Sequences(conversations, true);
    const next = (n: number) => [...conversations[n - 1]!.tokens, 9, 9];
    for (const n of [2, 1, 3, 3, 1]) {
      const sequence = sequences.take(next(n));
      expect([sequence.name, sequences.sourceFor(sequence, next(n))]).toEqual([n, undefined]);
      sequences.give(sequence);
    }
    expect(sequences.take([7, 7]).name).toBe(2);
  });

  it('leaves a conversation whose beginning another shares as it is', () => {
    const system = Array.from({ length: 20 }, (_, i) => i);
    const first = new Tokens([...system, ...Array.from({ length: 200 }, () => 5)], 0);
    const empty = new Tokens([], 1);
    const prompt = [...system, 6, 6];
    const sequence = choosePlace([empty, first], prompt, true);
    expect(sequence).toBe(empty);
    expect(sourceFor(sequence, [first, empty], prompt)).toEqual({ from: first, shared: 20 });
  });
});
