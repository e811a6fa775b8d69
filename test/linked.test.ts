import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type Link, Linked } from '../src/linked.js';

it('a Linked is a Set in the order of what came, whatever comes and goes', () => {
  const steps = fc.array(fc.oneof(fc.constant('add'), fc.constant('shift'), fc.nat(20)), { maxLength: 60 });
  fc.assert(
    fc.property(steps, (todo) => {
      const linked = new Linked<number>();
      const expected = new Set<number>();
      const links: Link<number>[] = [];
      for (const step of todo) {
        if (step === 'add') {
          expected.add(links.length);
          links.push(linked.add(links.length));
        } else if (step === 'shift') {
          const [first] = expected;
          expect(linked.shift()).toBe(first);
          expected.delete(first!);
        } else if (step < links.length) {
          expect(linked.remove(links[step]!)).toBe(expected.delete(step));
        }
        expect([...linked]).toEqual([...expected]);
        expect(linked.size).toBe(expected.size);
      }
    }),
  );
});
