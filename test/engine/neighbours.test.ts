import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import type { Device } from '../../src/devices/device.js';
import { prepareEnvironment } from '../../src/devices/environment.js';
import { loadEngine } from '../../src/engine/load.js';
import { Experts } from '../../src/experts/experts.js';
import { HostExperts } from '../../src/experts/host-experts.js';
import { SlotCopies } from '../../src/experts/lanes/slot-copies.js';
import { pinExperts } from '../../src/experts/pinning.js';
import { api } from '../../src/native/ggml/api.js';
import { nmse } from '../models/gguf-logits.js';
import { writeConverted } from '../support/converted.js';
import { temporaryFolder } from '../support/folder.js';
import { writeBlocks } from '../support/synthetic-gguf.js';

prepareEnvironment({ dtype: 'f32' });

const TOKENS = Array.from({ length: 48 }, (_, i) => 5 + ((i * 31) % 200));
const SIZES = { layers: 4, hidden: 256, width: 256, experts: 24, vocabulary: 256 };
const MODELS: Readonly<Record<string, { write: (file: string) => void; parts: number }>> = {
  'one form': { write: (file) => writeBlocks(file, SIZES), parts: 3 },
  'several forms': { write: (file) => writeBlocks(file, SIZES, (layer) => layer % 2 === 1), parts: 3 },
  biases: { write: (file) => writeConverted('gpt_oss', file), parts: 4 },
};

const OPTIONS = { accelerator: 'host', policy: 'stream', ctx: 64, threads: 1, profile: false } as const;

/** Makes every other expert resident in place of the first ones. */
function scatter({ resident, exchanges, statistics }: Experts): void {
  for (const layer of statistics.popularity.keys()) {
    const evicted = resident.of(layer).filter((expert) => expert % 2 === 0);
    const admitted = resident.missing(layer).filter((expert) => expert % 2 === 1);
    for (const [i, expert] of evicted.entries()) exchanges.run({ layer, evicted: expert, admitted: admitted[i]! });
  }
}

/**
 * Logits of a prompt whose missing experts are all streamed, and by how many native copies how many of them came.
 * @param scattered every other expert is resident, else none
 */
function prefill(model: string, expertCache: number, scattered = false) {
  const experts = vi.spyOn(Experts.prototype, 'use');
  const { run } = SlotCopies.prototype;
  const before = { ...api() };
  const counted = { experts: 0, copies: 0 };
  SlotCopies.prototype.run = function (layer, copied) {
    counted.experts += copied.count;
    for (const name of ['tensorSetAsync', 'tensorSet2dAsync'] as const) {
      api()[name] = (...args) => {
        counted.copies++;
        before[name](...args);
      };
    }
    run.call(this, layer, copied);
    Object.assign(api(), before);
  };
  const session = loadEngine(model, { ...OPTIONS, expertsResident: scattered ? 0.5 : 0, expertCache });
  try {
    if (scattered) scatter(experts.mock.contexts.at(-1) as Experts);
    const logits = session.prefill(TOKENS, 0).slice();
    expect(counted.experts).toBe(session.lanes.streamed.experts);
    return { logits, ...counted };
  } finally {
    session.close();
    SlotCopies.prototype.run = run;
    experts.mockRestore();
  }
}

const CASES = Object.entries(MODELS).flatMap(([name, model]) => [
  { name, ...model, scattered: false },
  { name: `${name}, every other`, ...model, scattered: true },
]);

it.each(CASES)('experts that travel together give what they give alone: $name', ({ write, parts, scattered }) => {
  const file = join(temporaryFolder(), 'model.gguf');
  write(file);
  const alone = prefill(file, 0, scattered); // two slots: each batch is one expert
  const together = prefill(file, 1e8, scattered);
  expect(alone.copies).toBe(parts * alone.experts);
  expect(together.experts).toBe(alone.experts);
  expect(together.copies).toBeLessThan(0.7 * parts * together.experts);
  expect(nmse(together.logits, alone.logits)).toBeLessThan(1e-6);
});

it('copies reach from one expert to another where all between them is pinned', () => {
  const file = join(temporaryFolder(), 'model.gguf');
  writeBlocks(file, SIZES);
  const found = vi.spyOn(HostExperts.prototype, 'partsOf');
  const session = loadEngine(file, { ...OPTIONS, expertsResident: 0 });
  try {
    session.prefill(TOKENS, 0);
    expectPieces(found.mock.contexts[0] as HostExperts);
  } finally {
    session.close();
    found.mockRestore();
  }
});

/** Pins two neighbours and another of the first layer, and all of the second. */
function expectPieces(host: HostExperts): void {
  const piecesOf = (layer: number, expert: number) => host.partsOf(layer, expert).map(({ piece }) => piece);
  expect(piecesOf(0, 2)).toEqual([0, 0, 0]); // nothing had to be pinned
  const all = Array.from({ length: SIZES.experts }, (_, expert) => expert);
  const pinning = { pin: () => () => {} } as unknown as Device;
  host.pinned(pinExperts(pinning, host, [[0, 1, 3], all, []])!);
  const [zero, one, two, three] = [0, 1, 2, 3].map((expert) => piecesOf(0, expert));
  expect(one).toEqual(zero);
  expect(two).toEqual([-1, -1, -1]);
  for (const piece of three!) expect([-1, ...one!]).not.toContain(piece);
  for (const expert of all) expect(piecesOf(1, expert)).toEqual(piecesOf(1, 0));
  expect(piecesOf(2, 0)).toEqual([-1, -1, -1]);
}
