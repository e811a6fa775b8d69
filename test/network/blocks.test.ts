import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { floats, HostMemory, HostTensors, integers } from '../../src/devices/device.js';
import { Machine } from '../../src/loading/machine.js';
import { Resources } from '../../src/native/resources.js';
import type { Group, Part } from '../../src/network/batch.js';
import { BLOCK_TENSORS, BlockInputs, touchedBlocks } from '../../src/network/blocks.js';

const EVERY = 4;
const POSITIONS = 64;
const KEPT = 32;
const CALLS = 24;
/** Of Vulkan's storage buffers, in bytes. */
const LARGEST_ALIGNMENT = 256;

const resources = new Resources();
let hostMemory: HostMemory;
beforeAll(() => {
  resources.during(() => {
    hostMemory = new HostMemory(new Machine('none', { threads: 1 }).cpu.bufferType);
  });
});
afterAll(() => resources.free());

/** What a call is told of sequences of equally many tokens, by name; of one group, or of one each. */
function told(pasts: readonly number[], tokens: number, apart = false) {
  return new Resources().during(() => {
    const memory = new HostTensors(BLOCK_TENSORS);
    const sizes = { every: EVERY, kept: KEPT, positions: POSITIONS, calls: CALLS, groups: 3 };
    const made: { host: ReturnType<HostTensors['tensor']> }[] = [];
    const inputs = new BlockInputs(sizes, (type, n) => {
      const host = memory.tensor(type, n);
      made.push({ host });
      return { host, device: host };
    });
    memory.allocate(hostMemory);
    const read = Math.max(...pasts) + tokens;
    const reads = new Map([[0, { from: 0, count: read }]]);
    const of = (slot: number, sequences: number): Group => {
      return { first: slot * tokens, tokens, sequences, slot, reads, sourceRows: 0 };
    };
    const batch = pasts.map((past, slot): Part => {
      return { slot, tokens: Array.from({ length: tokens }, () => 0), past, source: 0, extended: false };
    });
    inputs.send(batch, apart ? pasts.map((_, slot) => of(slot, 1)) : [of(0, pasts.length)], () => {});
    const [numbers, lying, starts, tails, tailRows] = made.slice(0, 5).map(({ host }) => [...integers(host)]);
    const [visible, tailMask] = made.slice(5, 7).map(({ host }) => [...floats(host)]);
    const before = { lying: [...integers(made[7]!.host)], followed: [...floats(made[8]!.host)] };
    memory.free();
    return { numbers, lying, starts, tails, tailRows, visible, tailMask, before, blocks: Math.ceil(read / EVERY) };
  });
}

describe('what a call is told of blocks of positions', () => {
  const calls = fc
    .record({
      tokens: fc.integer({ min: 1, max: 8 }),
      pasts: fc.array(fc.nat(POSITIONS - 8), { minLength: 1, maxLength: 3 }),
    })
    .filter(({ tokens, pasts }) => tokens * pasts.length <= CALLS);

  it('names every block of which it writes a token, once or as the last one, and where its rows lie', () => {
    fc.assert(
      fc.property(calls, ({ tokens, pasts }) => {
        const { numbers, lying, starts, before } = told(pasts, tokens);
        const most = touchedBlocks(tokens, EVERY);
        for (const [i, past] of pasts.entries()) {
          const own = numbers!.slice(i * most, (i + 1) * most);
          const positions = Array.from({ length: tokens }, (_, t) => past + t);
          expect(new Set(own)).toEqual(new Set(positions.map((p) => Math.floor(p / EVERY))));
          expect(own).toEqual([...own].sort((a, b) => a - b));
          expect(lying!.slice(i * most, (i + 1) * most)).toEqual(own.map((b) => b % (KEPT / EVERY)));
          expect(starts!.slice(i * most, (i + 1) * most)).toEqual(own.map((b) => b * EVERY));
          const followed = before.followed.slice(i * most, (i + 1) * most);
          expect(followed).toEqual(own.map((b) => (b === 0 ? -Infinity : 0)));
          const lyingBefore = before.lying.slice(i * most, (i + 1) * most);
          for (const [j, b] of own.entries()) if (b > 0) expect(lyingBefore[j]).toBe((b - 1) % (KEPT / EVERY));
        }
      }),
    );
  });

  it("lays each group's first positions where every device reads the positions of a rotation", () => {
    fc.assert(
      fc.property(calls, ({ tokens, pasts }) => {
        const most = touchedBlocks(tokens, EVERY);
        const [whole, apart] = [told(pasts, tokens), told(pasts, tokens, true)];
        for (const i of pasts.keys()) {
          const from = (i * LARGEST_ALIGNMENT) / Int32Array.BYTES_PER_ELEMENT;
          expect(apart.starts!.slice(from, from + most)).toEqual(whole.starts!.slice(i * most, (i + 1) * most));
        }
      }),
    );
  });

  it('lets each token see the blocks that are complete with it, later ones a trace more, and its own tail', () => {
    fc.assert(
      fc.property(calls, ({ tokens, pasts }) => {
        const { tails, tailRows, visible, tailMask, blocks } = told(pasts, tokens);
        for (const [row, position] of pasts
          .flatMap((past) => [...Array(tokens).keys()].map((t) => past + t))
          .entries()) {
          const complete = Array.from({ length: blocks }, (_, b) => (b + 1) * EVERY <= position + 1);
          const seen = visible!.slice(row * blocks, (row + 1) * blocks);
          expect(seen.map((value) => value > -Infinity)).toEqual(complete);
          const traces = seen.filter((value) => value > -Infinity);
          expect(traces).toEqual([...new Set(traces)].sort((a, b) => a - b));
          for (const trace of traces) expect(Math.fround(trace + 1e-9)).toBe(Math.fround(1e-9));
          const tail = complete.filter(Boolean).length;
          expect(tails![row]).toBe(tail);
          expect(tailRows![row]).toBe(Math.min(tail, POSITIONS / EVERY - 1));
          const own = Array.from({ length: EVERY }, (_, i) => (tail * EVERY + i <= position ? 0 : -Infinity));
          expect(tailMask!.slice(row * EVERY, (row + 1) * EVERY)).toEqual(own);
        }
      }),
    );
  });
});
