import fc from 'fast-check';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { acceleratorKind, openAccelerator, openCpu } from '../../src/devices/accelerators.js';
import { Device } from '../../src/devices/device.js';
import { matrixEntries } from '../../src/experts/activations.js';
import { SlotCopies } from '../../src/experts/lanes/slot-copies.js';
import { api } from '../../src/native/ggml/api.js';
import type { Event } from '../../src/native/ggml/backend.js';
import { Threadpool } from '../../src/native/ggml/threadpool.js';
import { view } from '../../src/native/os/memory.js';
import { EXPERTS, LAYERS, SLOTS, SlotContents } from './slot-contents.js';

/** Bytes that a GPU's kernels may read behind a matrix. */
const PADDING = 144;

const cpu = openCpu();
const host = openAccelerator(acceleratorKind('host'), cpu);
const twoStreams = new Device('two streams', cpu.pointer, false, 2);
const pool = new Threadpool(cpu.pointer, 1, false);
for (const { compute } of [cpu, host, twoStreams]) pool.attach(compute);
const { allocSize } = api();
afterEach(() => {
  api().allocSize = allocSize;
  vi.restoreAllMocks();
});
afterAll(() => {
  for (const device of [host, twoStreams, cpu]) device.free();
  pool.free();
});

/** Experts of a layer that are computed together. */
const batch = fc.record({
  layer: fc.nat(2),
  experts: fc.uniqueArray(fc.nat(EXPERTS - 1), { minLength: 1, maxLength: SLOTS }),
  sorted: fc.boolean(),
});
const batches = fc.array(batch, { minLength: 1, maxLength: 8 });
const inOrder = ({ experts, sorted }: { experts: number[]; sorted: boolean }) =>
  sorted ? [...experts].sort((a, b) => a - b) : experts;

const same = (found: Uint8Array[], expected: Uint8Array[]) =>
  found.every((bytes, i) => Buffer.compare(bytes, expected[i]!) === 0);

describe.each(Object.entries(LAYERS))('slots for experts of %s', (name, layers) => {
  it('hold each expert that was copied, whichever was there before', () => {
    const contents = new SlotContents(cpu, host, layers);
    fc.assert(
      fc.property(batches, (all) => {
        for (const each of all) {
          const { found, expected } = contents.fill(each.layer % layers.types.length, inOrder(each));
          expect(same(found, expected)).toBe(true);
        }
      }),
    );
  });

  if (name !== 'one form')
    it('hold zeros behind each, where kernels may read', () => {
      api().allocSize = (type, tensor) => Number(allocSize(type, tensor)) + PADDING;
      const contents = new SlotContents(cpu, host, layers);
      fc.assert(
        fc.property(batches, (all) => {
          for (const each of all) {
            const { filled, found, expected } = contents.fill(each.layer % layers.types.length, inOrder(each));
            expect(same(found, expected)).toBe(true);
            for (const { placed } of filled) {
              for (const [, { tensor }] of matrixEntries(placed)) {
                if (tensor.address + BigInt(tensor.bytes) === placed.up.tensor.address) continue; // up lies behind gate
                const behind = new Uint8Array(view(tensor.address + BigInt(tensor.bytes), PADDING));
                expect(Math.max(...behind)).toBe(0);
              }
            }
          }
        }),
      );
    });

  it('are filled by one copy a part where experts are neighbours', () => {
    const contents = new SlotContents(cpu, host, layers);
    const copies = vi.spyOn(host.copies, 'writeRows');
    contents.fill(0, [2, 3, 4, 5]);
    const parts = layers.spec.biases ? 4 : 3;
    expect(copies).toHaveBeenCalledTimes(parts);
    copies.mockClear();
    contents.fill(1, [2, 3, 7, 9, 10, 11]); // four slots are free, and then the first two
    expect(copies).toHaveBeenCalledTimes(3 * parts); // two, two in a distance, two
    copies.mockClear();
    expect(contents.copyAhead(0, [4, 6, 7, 8])).toBe(3); // one is there
    expect(copies).toHaveBeenCalledTimes(parts);
    const { filled, found, expected } = contents.fill(0, [4, 6, 7, 8]);
    expect(copies).toHaveBeenCalledTimes(parts);
    expect(filled.map((each) => each.found)).toEqual(['cached', 'prefetched', 'prefetched', 'prefetched']);
    expect(same(found, expected)).toBe(true);
  });
});

it('copies wait until what lay in a slot was computed, and computing until it is there, for each event once', () => {
  const log = new Log();
  const contents = new SlotContents(cpu, twoStreams, LAYERS['one form']!);
  fc.assert(
    fc.property(batches, (all) => {
      for (const each of all) {
        log.begin();
        const { filled } = contents.fill(each.layer % 2, inOrder(each));
        log.computed(filled.map(({ slot }) => slot));
      }
      expect(log.faults).toEqual([]);
    }),
  );
});

/** What happens on a device's two streams, in order, and what of it is wrong. */
class Log {
  readonly faults: string[] = [];
  private now = 0;
  private readonly recorded = new Map<object, number>();
  /** Up to when each stream has waited for the other. */
  private readonly seen = { copies: 0, compute: 0 };
  private readonly filled = new Map<number, number>();
  private readonly emptied = new Map<number, number>();
  /** For what this batch waited. */
  private waits: object[] = [];

  constructor() {
    vi.spyOn(twoStreams, 'event').mockImplementation(() => this.event() as unknown as Event);
    const { run } = SlotCopies.prototype;
    const log = this;
    vi.spyOn(SlotCopies.prototype, 'run').mockImplementation(function (this: SlotCopies, layer, copied) {
      for (let slot = copied.slot; slot < copied.slot + copied.count; slot++) log.copied(slot);
      run.call(this, layer, copied);
    });
  }

  private event() {
    const event = {
      record: () => this.recorded.set(event, this.now),
      wait: (backend: unknown) => {
        const on = backend === twoStreams.copies ? 'copies' : 'compute';
        if (this.waits.includes(event)) this.faults.push(`${on} wait twice`);
        this.waits.push(event);
        this.seen[on] = Math.max(this.seen[on], this.recorded.get(event) ?? 0);
      },
    };
    return event;
  }

  begin(): void {
    this.waits = [];
  }

  private copied(slot: number): void {
    this.now++;
    if ((this.emptied.get(slot) ?? 0) > this.seen.copies) this.faults.push(`slot ${slot} is overwritten`);
    this.filled.set(slot, this.now);
  }

  computed(slots: readonly number[]): void {
    for (const slot of slots) {
      if ((this.filled.get(slot) ?? 0) > this.seen.compute) this.faults.push(`slot ${slot} is not there`);
      this.emptied.set(slot, this.now);
    }
  }
}
