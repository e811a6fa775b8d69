import { once } from 'node:events';
import { setImmediate as tick } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { expect, it, onTestFinished } from 'vitest';
// As compiled: helpers are started from a file beside it.
import { convertTogether } from '#fiddler/weights/conversions/crew.js';
import { type Conversion, convertHere } from '#fiddler/weights/conversions/index.js';
import { type Mapping, mapAnonymous, unmap, view } from '../../../src/native/os/memory.js';

function memory(bytes: number): Mapping {
  const mapping = mapAnonymous('test', bytes);
  onTestFinished(() => unmap(mapping));
  return mapping;
}

/** 16-bit numbers [rows, columns] of which the transpose is taken. */
function transposition(rows: number, columns: number): Conversion {
  const from = memory(rows * columns * 2);
  new Uint16Array(view(from.address, from.bytes)).forEach((_, i, numbers) => {
    numbers[i] = i * 40503;
  });
  const layout = { shape: [1, columns, rows], offset: 0, strides: [0, 1, columns] } as const;
  const result = { rows: columns, rowBytes: rows * 2, band: 1 };
  return { kind: 'gather', ...result, from: from.address, bytes: from.bytes, width: 2, layout };
}

function run(conversion: Conversion, convert: typeof convertHere): Buffer {
  const target = memory(conversion.rows * conversion.rowBytes);
  convert(conversion, target.address);
  return Buffer.from(view(target.address, target.bytes));
}

const pause = (milliseconds: number) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);

/** Helpers that are up, and conversions in four chunks of that size. */
async function crew(conversion: Conversion, count: number) {
  const convert = convertTogether(() => count + 1, conversion.rows * conversion.rowBytes);
  const helpers: Worker[] = [];
  const onWorker = (worker: Worker) => helpers.push(worker);
  process.on('worker', onWorker);
  const first = run(conversion, convert);
  await tick(); // the event of a worker comes after its making
  process.off('worker', onWorker);
  await Promise.all(helpers.map((helper) => once(helper, 'online')));
  return { convert, helpers, first };
}

it('helpers take part in a conversion, and end when none follows', async () => {
  const conversion = transposition(64, 100);
  const expected = run(conversion, convertHere);
  const { convert, helpers, first } = await crew(conversion, 2);
  expect(helpers).toHaveLength(2);
  expect(first.equals(expected)).toBe(true);
  let mine = 0;
  const slow = {
    ...conversion,
    get width() {
      mine++; // read once a chunk, and once when the job is handed to the helpers
      pause(200);
      return 2 as const;
    },
  };
  expect(run(slow as Conversion, convert).equals(expected)).toBe(true);
  expect(mine - 1).toBeLessThan(4);
  expect(await Promise.all(helpers.map(async (helper) => (await once(helper, 'exit'))[0]))).toEqual([0, 0]);
  expect(run(conversion, convert).equals(expected)).toBe(true);
});

it('what a helper fails to make is made by the caller', async () => {
  const conversion = transposition(64, 100) as Extract<Conversion, { kind: 'gather' }>;
  const { convert } = await crew(conversion, 1);
  let reads = 0;
  const wrongForHelpers = {
    ...conversion,
    get bytes() {
      if (reads++ === 0) return 2 ** 40; // no view is that long
      pause(200);
      return conversion.bytes;
    },
  };
  expect(run(wrongForHelpers, convert).equals(run(conversion, convertHere))).toBe(true);
  expect(reads - 1).toBeGreaterThan(1);
});

it('a conversion by several threads is the one by one, however many follow each other', () => {
  const convert = convertTogether(() => 3, 1);
  const size = fc.integer({ min: 1, max: 60 });
  const sizes = fc.array(fc.tuple(size, size), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(sizes, (all) => {
      for (const conversion of all.map((shape) => transposition(...shape))) {
        expect(run(conversion, convert).equals(run(conversion, convertHere))).toBe(true);
      }
    }),
    { numRuns: 60 },
  );
});

it('what is wrong is said by the caller, once all helpers have left', () => {
  const convert = convertTogether(() => 2, 1);
  const conversion = transposition(8, 8);
  const wrong = { ...conversion, bytes: 2 ** 40 } as Conversion; // no view is that long
  for (let i = 0; i < 20; i++) expect(() => run(wrong, convert)).toThrow('too long');
  expect(run(conversion, convert).equals(run(conversion, convertHere))).toBe(true);
});
