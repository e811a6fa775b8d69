import fc from 'fast-check';
import { expect, it } from 'vitest';
import { aligned } from '../../src/devices/shared-words.js';
import { Assignments } from '../../src/experts/assignments.js';
import type { GroupFew, GroupRows } from '../../src/experts/group.js';
import {
  GroupOrder,
  inParts,
  type Member,
  MOST_FILLED,
  roundsOf,
  STEP,
  WORDS,
} from '../../src/experts/lanes/group-order.js';
import { PARTS } from '../../src/experts/lanes/groups.js';
import { ORDER_LOOPS } from '../support/order-loops.js';

const EXPERTS = 40;
const CHOSEN = 6;

/** Each token's experts, all different. */
const routes = fc.array(fc.uniqueArray(fc.nat(EXPERTS - 1), { minLength: CHOSEN, maxLength: CHOSEN }), {
  minLength: 1,
  maxLength: 90,
});

/** Room for so many assignments: whole numbers and weights in the same memory. */
function memoryOf(size: number) {
  const numbers = new Int32Array(WORDS * size);
  return { numbers, weights: new Float32Array(numbers.buffer) };
}

function grouped(chosen: readonly number[][]) {
  const assignments = new Assignments(EXPERTS, chosen.length * CHOSEN);
  const experts = Int32Array.from(chosen.flat());
  const weights = Float32Array.from(experts, (_, i) => 1 + i);
  const routed = { layer: 0, tokens: chosen.length, chosen: CHOSEN, experts, weights };
  const demand = assignments.group(routed, () => false);
  return {
    assignments,
    demand,
    weightOf: (token: number, expert: number) => 1 + token * CHOSEN + chosen[token]!.indexOf(expert),
  };
}

it.each(ORDER_LOOPS)(
  'orders a group so that no row has an expert twice, and adds every assignment once, %s',
  (_, loops) => {
    fc.assert(
      fc.property(routes, fc.integer({ min: 1, max: EXPERTS }), fc.nat(3), (chosen, taken, before) => {
        const { assignments, demand, weightOf } = grouped(chosen);
        const members = demand.slice(0, taken).map(({ expert }) => ({ expert, slot: EXPERTS - expert }));
        const from = before * aligned(1);
        const size = from + aligned(chosen.length * CHOSEN) + 2 * aligned(1);
        const { numbers, weights } = memoryOf(size);
        const order = new GroupOrder(numbers, weights, chosen.length, CHOSEN, loops);
        const rows = order.write(from, members, assignments, chosen.length, -1) as GroupRows;
        const { ids, tokens, count, abreast, rounds } = rows;
        const total = members.reduce((sum, { expert }) => sum + assignments.count(expert), 0);
        expect(count % abreast).toBe(0);
        expect(count - total).toBeLessThanOrEqual(abreast);
        for (let row = 0; row < count; row += abreast) {
          const inRow = numbers.subarray(ids + row, ids + row + abreast);
          expect(new Set(inRow).size).toBe(abreast);
        }
        const added = new Set<string>();
        let [ordered, targeted] = [rows.order, rows.targets];
        for (const { tokens: size, depth } of rounds) {
          const written = numbers.subarray(targeted, targeted + size);
          expect(new Set(written).size).toBe(size);
          for (let i = 0; i < size * depth; i++) {
            const place = numbers[ordered + i]!;
            const weight = weights[rows.weights + place]!;
            if (weight === 0) continue;
            const token = written[i % size]!;
            const expert = EXPERTS - numbers[ids + place]!;
            expect(numbers[tokens + place]).toBe(token);
            expect(weight).toBe(weightOf(token, expert));
            expect(added.has(`${token} ${expert}`)).toBe(false);
            added.add(`${token} ${expert}`);
          }
          ordered += size * depth;
          targeted += size;
        }
        expect(added.size).toBe(total);
        expect(ordered).toBeLessThanOrEqual(rows.targets); // each list ends where the next begins
        expect(targeted).toBeLessThanOrEqual(rows.weights);
        expect(rows.weights + count).toBeLessThanOrEqual(WORDS * (from + aligned(count)));
      }),
    );
  },
);

it.each(ORDER_LOOPS)(
  'divides a group so that no part has more rows than allowed, and each assignment is in one part, %s',
  (_, loops) => {
    const most = fc.integer({ min: 8, max: 40 });
    const many = fc.array(fc.uniqueArray(fc.nat(CHOSEN + 3), { minLength: CHOSEN, maxLength: CHOSEN }), {
      minLength: 30,
      maxLength: 150,
    });
    fc.assert(
      fc.property(fc.oneof(routes, many), fc.integer({ min: 1, max: EXPERTS }), most, (chosen, taken, most) => {
        const { assignments, demand } = grouped(chosen);
        const members = demand.slice(0, taken).map(({ expert }) => ({ expert, slot: EXPERTS - expert }));
        const size = aligned(chosen.length * CHOSEN) + 2 * aligned(1);
        const { numbers, weights } = memoryOf(size);
        const order = new GroupOrder(numbers, weights, chosen.length, CHOSEN, loops);
        const rowsOf = ({ count, abreast }: { count: number; abreast: number }) => count / abreast;
        const whole = rowsOf(order.write(0, members, assignments, chosen.length, -1));
        const parts = inParts(members, assignments, most);
        const places: number[] = [];
        for (const { members: some, of } of parts) {
          expect(rowsOf(order.write(0, some, of, chosen.length))).toBeLessThanOrEqual(most);
          for (const { expert } of some) for (let i = 0; i < of.count(expert); i++) places.push(of.start(expert) + i);
        }
        const all = members.flatMap(({ expert }) =>
          Array.from({ length: assignments.count(expert) }, (_, i) => assignments.start(expert) + i),
        );
        expect(places.sort((a, b) => a - b)).toEqual(all.sort((a, b) => a - b));
        if (whole <= most) expect(parts).toHaveLength(1);
        else expect(parts.length).toBeLessThan((PARTS * whole) / most);
      }),
    );
  },
);

/** What is added at once: each assignment with its weight, and nothing else. */
function expectAddedAtOnce(
  { numbers, weights }: ReturnType<typeof memoryOf>,
  { ids, tokens, order, weights: at, count, abreast, n, columns }: GroupFew,
  members: readonly Member[],
  { assignments, weightOf }: ReturnType<typeof grouped>,
): void {
  const total = members.reduce((sum, { expert }) => sum + assignments.count(expert), 0);
  expect(count % abreast).toBe(0);
  expect(count).toBeGreaterThanOrEqual(total);
  for (let row = 0; row < count; row += abreast) {
    expect(new Set(numbers.subarray(ids + row, ids + row + abreast)).size).toBe(abreast);
  }
  const added = new Map<string, number>();
  for (let i = 0; i < n * columns; i++) {
    const place = numbers[order + i]!;
    expect(place).toBeLessThan(count);
    if (weights[at + i] === 0) continue;
    const token = Math.floor(i / columns);
    expect(numbers[tokens + place]).toBe(token);
    added.set(`${token} ${EXPERTS - numbers[ids + place]!}`, weights[at + i]!);
  }
  expect(added.size).toBe(total);
  for (const [key, weight] of added) {
    const [token, expert] = key.split(' ').map(Number) as [number, number];
    expect(weight).toBe(weightOf(token, expert));
  }
}

it('orders a group of few tokens so that its size and how many lie beside each other say how its graph looks', () => {
  const few = fc.array(fc.uniqueArray(fc.nat(EXPERTS - 1), { minLength: CHOSEN, maxLength: CHOSEN }), {
    minLength: 2,
    maxLength: 16,
  });
  fc.assert(
    fc.property(few, fc.integer({ min: 1, max: EXPERTS }), fc.nat(3), (chosen, taken, before) => {
      const group = grouped(chosen);
      const members = group.demand.slice(0, taken).map(({ expert }) => ({ expert, slot: EXPERTS - expert }));
      const from = before * aligned(1);
      const size = from + aligned(members.length * chosen.length + MOST_FILLED);
      const memory = memoryOf(size);
      memory.numbers.fill(-1);
      const order = new GroupOrder(memory.numbers, memory.weights, chosen.length, CHOSEN);
      const found = order.writeFew(from, members, group.assignments, chosen.length);
      const { count, abreast, columns } = found;
      const total = members.reduce((sum, { expert }) => sum + group.assignments.count(expert), 0);
      expect(count - total).toBeLessThan(Math.max(STEP, abreast));
      if (total > STEP) expect(count % STEP).toBe(0);
      expect(from + found.size).toBeLessThanOrEqual(size);
      expect(columns).toBe(Math.min(CHOSEN, members.length));
      expectAddedAtOnce(memory, found, members, group);
    }),
  );
});

it.each(ORDER_LOOPS)(
  'adds a group of a short prompt at once where few rows of no weight are read for that, and there is room, %s',
  (_, loops) => {
    fc.assert(
      fc.property(routes, fc.integer({ min: 1, max: EXPERTS }), fc.nat(600), (chosen, taken, idle) => {
        const group = grouped(chosen);
        const members = group.demand.slice(0, taken).map(({ expert }) => ({ expert, slot: EXPERTS - expert }));
        const total = members.reduce((sum, { expert }) => sum + group.assignments.count(expert), 0);
        const perToken = chosen.map(
          (experts) => experts.filter((e) => members.some(({ expert }) => expert === e)).length,
        );
        const rows = chosen.length * Math.max(...perToken);
        const memory = memoryOf(aligned(total + idle + MOST_FILLED));
        memory.numbers.fill(-1);
        const order = new GroupOrder(memory.numbers, memory.weights, chosen.length, CHOSEN, loops);
        const found = order.write(0, members, group.assignments, chosen.length, idle);
        expect('rounds' in found).toBe(rows - total > idle);
        expect(found.size).toBeLessThanOrEqual(aligned(total + found.idle + MOST_FILLED));
        if ('rounds' in found) return;
        expect(found.idle).toBe(Math.max(0, rows - total));
        expectAddedAtOnce(memory, found, members, group);
      }),
    );
  },
);

it('adds in few rounds that read no more idle rows than others', () => {
  const sizes = fc
    .array(fc.integer({ min: 0, max: 4000 }), { minLength: 1, maxLength: 16 })
    .map((all) => all.sort((a, b) => b - a));
  fc.assert(
    fc.property(sizes, (counted) => {
      const rounds = roundsOf(counted);
      const used = counted.filter((n) => n > 0);
      expect(rounds.reduce((sum, { depth }) => sum + depth, 0)).toBe(used.length);
      const rows = rounds.reduce((sum, { tokens, depth }) => sum + tokens * depth, 0);
      expect(rows).toBeLessThanOrEqual(2 * used.reduce((sum, n) => sum + n, 0));
      let column = 0;
      for (const { tokens, depth } of rounds) {
        expect(tokens).toBe(used[column]);
        column += depth;
      }
    }),
  );
  expect(roundsOf([300, 10, 10, 0])).toEqual([
    { tokens: 300, depth: 2 },
    { tokens: 10, depth: 1 },
  ]);
  expect(roundsOf([2000, 1000, 900, 850])).toEqual([
    { tokens: 2000, depth: 1 },
    { tokens: 1000, depth: 3 },
  ]);
});
