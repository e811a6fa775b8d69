import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MATRICES, type MatrixName } from '../../src/experts/activations.js';
import type { PlacedExpert } from '../../src/experts/expert.js';
import { FARTHEST, RUN_BYTES, runsOf, type WholeCopy } from '../../src/experts/lanes/runs.js';
import { type SourcePart, sourceParts } from '../../src/experts/source-parts.js';

type Name = MatrixName | 'biases';
const EXPERTS = 24;

/** Where a part of each expert lies, in bytes. */
interface Layout {
  sizes: Readonly<Record<string, number>>;
  address: (name: string, expert: number) => number;
}

/** As GGUF files hold experts: those of all one behind the other, a matrix after the other. */
function byMatrix(sizes: Layout['sizes'], order: readonly string[]): Layout {
  const before = (name: string) => order.slice(0, order.indexOf(name)).reduce((sum, n) => sum + sizes[n]! * EXPERTS, 0);
  return { sizes, address: (name, expert) => before(name) + expert * sizes[name]! };
}

/** As safetensors files do: an expert's matrices one behind the other. */
function byExpert(sizes: Layout['sizes'], order: readonly string[]): Layout {
  const whole = order.reduce((sum, n) => sum + sizes[n]!, 0);
  const before = (name: string) => order.slice(0, order.indexOf(name)).reduce((sum, n) => sum + sizes[n]!, 0);
  return { sizes, address: (name, expert) => expert * whole + before(name) };
}

/** The same, where each expert's matrices go another way round. */
function byTurns(sizes: Layout['sizes'], order: readonly string[]): Layout {
  const turned = (expert: number) =>
    [...order, ...order].slice(expert % order.length, (expert % order.length) + order.length);
  return { sizes, address: (name, expert) => byExpert(sizes, turned(expert)).address(name, expert) };
}

/** Each in memory of its own. */
function apart(layout: Layout): Layout {
  const whole = Object.values(layout.sizes).reduce((sum, n) => sum + n, 1);
  return { ...layout, address: (name, expert) => layout.address(name, expert) + expert * whole };
}

/** What a copy reads of an expert, without any tensors. */
function sourceOf({ sizes, address }: Layout, expert: number, biased: boolean): PlacedExpert {
  const place = (name: string) => {
    const at = BigInt(4096 + address(name, expert));
    return { tensor: { address: at, bytes: sizes[name]!, strides: [4, sizes[name]!] } };
  };
  const names = [...MATRICES, ...(biased ? ['biases'] : [])].filter((name) => sizes[name]! > 0);
  return Object.fromEntries(names.map((name) => [name, place(name)])) as unknown as PlacedExpert;
}

const size = fc.oneof(fc.integer({ min: 1, max: 5 }), fc.constant(RUN_BYTES / 4));
const perhaps = fc.oneof(fc.constant(0), size);
const layouts = fc
  .record({ gate: perhaps, value: fc.constant(0), up: size, down: size, biases: perhaps })
  .chain((sizes) => {
    const named = (Object.keys(sizes) as Name[]).filter((name) => sizes[name] > 0);
    const order = fc.shuffledSubarray(named, { minLength: named.length });
    return fc
      .tuple(order, fc.constantFrom(byMatrix, byExpert, byTurns), fc.boolean())
      .map(([names, of, alone]) => (alone ? apart(of(sizes, names)) : of(sizes, names)));
  });
/** Copies of experts to slots, in order of both or in none; pieces of memory end behind some experts. */
interface Drawn {
  ends: number[];
  layout: Layout;
  biased: boolean;
  experts: number[];
  slots: number[];
  sorted: boolean;
}
const copies: fc.Arbitrary<Drawn> = fc.record({
  layout: layouts,
  ends: fc.array(fc.nat(EXPERTS - 1), { maxLength: 3 }),
  biased: fc.boolean(),
  experts: fc.uniqueArray(fc.nat(EXPERTS - 1), { maxLength: EXPERTS }),
  slots: fc.uniqueArray(fc.nat(40), { minLength: EXPERTS, maxLength: EXPERTS }),
  sorted: fc.boolean(),
});

/** The piece of memory in which an expert's matrices lie. */
function pieceOf(ends: readonly number[], expert: number): number {
  return ends.filter((end) => end < expert).length;
}

function piecesOf(layout: Layout, piece: number): number[] {
  return MATRICES.filter((name) => layout.sizes[name]! > 0).map(() => piece);
}

function wholeCopies({ layout, ends, biased, experts, slots, sorted }: Drawn): WholeCopy[] {
  const ordered = (all: number[]) => (sorted ? [...all].sort((a, b) => a - b) : all);
  const to = ordered(slots);
  return ordered(experts).map((expert, i) => {
    const pieces = piecesOf(layout, pieceOf(ends, expert));
    return { slot: to[i]!, parts: sourceParts(sourceOf(layout, expert, biased), pieces) };
  });
}

/** What each single copy reads, and where to. */
function read(slot: number, { name, address, bytes }: SourcePart): string {
  return `${name} of ${bytes} bytes at ${address} to slot ${slot}`;
}

describe('runs of copies', () => {
  it('copy what single copies would, to the same places', () => {
    fc.assert(
      fc.property(copies, (drawn) => {
        const whole = wholeCopies(drawn);
        const single = whole.flatMap((copy) =>
          runsOf([copy]).flatMap(({ parts }) => parts.map((p) => read(copy.slot, p))),
        );
        const together: string[] = [];
        for (const { slot, count, parts, distances } of runsOf(whole)) {
          for (let i = 0; i < count; i++) {
            parts.forEach((part, p) => {
              together.push(read(slot + i, { ...part, address: part.address + i * distances[p]! }));
            });
          }
          if (count === 1) continue;
          for (const [p, { bytes }] of parts.entries()) {
            expect(distances[p]).toBeGreaterThanOrEqual(bytes);
            expect(distances[p]).toBeLessThanOrEqual(FARTHEST);
            expect(count * bytes).toBeLessThanOrEqual(RUN_BYTES);
          }
        }
        expect(together).toEqual(single);
      }),
    );
  });

  it('never reach from one piece of memory into another', () => {
    fc.assert(
      fc.property(copies, (drawn) => {
        const whole = wholeCopies(drawn);
        const pieceAt = new Map(whole.map(({ slot, parts }) => [slot, parts[0]!.piece]));
        for (const { slot, count } of runsOf(whole)) {
          for (let i = 1; i < count; i++) expect(pieceAt.get(slot + i)).toBe(pieceAt.get(slot));
        }
      }),
    );
  });

  it.each([
    ['a matrix after the other', byMatrix],
    ['an expert after the other', byExpert],
  ])('take one copy for all neighbours of a file: %s', (_, of) => {
    const layout = of({ gate: 3, up: 3, down: 5 }, ['down', 'gate', 'up']);
    /** Sizes of the runs of experts to slots; `copied` are in memory of their own, of `unpinned` one matrix is. */
    const lengths = (experts: number[], slots: number[], copied: number[] = [], unpinned: number[] = []) => {
      const whole = experts.map((expert, i): WholeCopy => {
        const pieces = copied.includes(expert) ? undefined : [0, 0, unpinned.includes(expert) ? -1 : 0];
        return { slot: slots[i]!, parts: sourceParts(sourceOf(layout, expert, false), pieces) };
      });
      return runsOf(whole).map(({ count }) => count);
    };
    expect(lengths([3, 4, 5, 6, 7], [0, 1, 2, 3, 4])).toEqual([5]);
    expect(lengths([3, 4, 5, 6, 7], [7, 8, 9, 11, 12])).toEqual([3, 2]);
    expect(lengths([3, 5, 7, 8, 9], [0, 1, 2, 3, 4])).toEqual([3, 2]);
    expect(lengths([3, 4, 5, 6, 7], [0, 1, 2, 3, 4], [5])).toEqual([2, 1, 2]);
    expect(lengths([3, 4, 5, 6, 7], [0, 1, 2, 3, 4], [], [5, 6])).toEqual([2, 1, 1, 1]);
    expect(lengths([5, 4, 3], [0, 1, 2])).toEqual([1, 1, 1]);
  });

  it('are no longer than what is copied in so many bytes, and reach no further than a device takes', () => {
    const lengths = (experts: number[], bytes: number) => {
      const layout = byMatrix({ gate: bytes, up: bytes, down: bytes }, ['down', 'gate', 'up']);
      const whole = experts.map((e, slot) => ({ slot, parts: sourceParts(sourceOf(layout, e, false), [0, 0, 0]) }));
      return runsOf(whole).map(({ count }) => count);
    };
    expect(lengths([0, 1, 2, 3, 4], RUN_BYTES / 4)).toEqual([4, 1]);
    expect(lengths([0, 256], FARTHEST / 256)).toEqual([2]);
    expect(lengths([0, 257], FARTHEST / 256)).toEqual([1, 1]);
  });

  it('end where matrices lie further apart than before', () => {
    const layout = byTurns({ gate: 3, up: 3, down: 3 }, ['down', 'gate', 'up']);
    const whole = [0, 1, 2].map((e) => ({ slot: e, parts: sourceParts(sourceOf(layout, e, false), [0, 0, 0]) }));
    expect(runsOf(whole).map(({ count }) => count)).toEqual([2, 1]);
  });

  it('take biases along, of which those of a layer are one tensor', () => {
    const layout = byMatrix({ gate: 3, up: 3, down: 5, biases: 2 }, ['down', 'gate', 'up', 'biases']);
    const whole = [0, 2, 4].map((e, slot) => ({ slot, parts: sourceParts(sourceOf(layout, e, true), [0, 1, 2]) }));
    const [run, ...others] = runsOf(whole);
    expect(others).toEqual([]);
    expect(run!.parts.map(({ name }, p) => [name, run!.distances[p]]).at(-1)).toEqual(['biases', 4]);
  });
});
