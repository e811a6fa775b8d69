import { join } from 'node:path';
import { expect, it } from 'vitest';
import { prepareEnvironment } from '../../src/devices/environment.js';
import { loadEngine } from '../../src/engine/load.js';
import { SlotCopies } from '../../src/experts/lanes/slot-copies.js';
import { api } from '../../src/native/ggml/api.js';
import { nmse } from '../models/gguf-logits.js';
import { writeConverted } from '../support/converted.js';
import { temporaryFolder } from '../support/folder.js';
import { writeBlocks } from '../support/synthetic-gguf.js';

prepareEnvironment({ dtype: 'f32' });

const TOKENS = Array.from({ length: 48 }, (_, i) => 5 + ((i * 37) % 200));
const SIZES = { layers: 4, hidden: 256, width: 256, experts: 24, vocabulary: 256 };
const MODELS: Readonly<Record<string, { write: (file: string) => void; parts: number }>> = {
  'one form': { write: (file) => writeBlocks(file, SIZES), parts: 3 },
  'several forms': { write: (file) => writeBlocks(file, SIZES, (layer) => layer % 2 === 1), parts: 3 },
  biases: { write: (file) => writeConverted('gpt_oss', file), parts: 4 },
};

/** Logits of a prompt whose experts are all streamed, and by how many native copies how many experts came. */
function prefill(model: string, expertCache: number) {
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
  const session = loadEngine(model, {
    accelerator: 'host',
    policy: 'stream',
    expertsResident: 0,
    expertCache,
    ctx: 64,
    threads: 1,
    profile: false,
  });
  try {
    const logits = session.prefill(TOKENS, 0).slice();
    expect(counted.experts).toBe(session.lanes.streamed.experts);
    return { logits, ...counted };
  } finally {
    session.close();
    SlotCopies.prototype.run = run;
  }
}

it.each(Object.entries(MODELS))('experts that travel together give what they give alone: %s', (_, { write, parts }) => {
  const file = join(temporaryFolder(), 'model.gguf');
  write(file);
  const alone = prefill(file, 0); // two slots: each batch is one expert
  const together = prefill(file, 1e8);
  expect(alone.copies).toBe(parts * alone.experts);
  expect(together.experts).toBe(alone.experts);
  expect(together.copies).toBeLessThan(0.7 * parts * together.experts);
  expect(nmse(together.logits, alone.logits)).toBeLessThan(1e-6);
});
