import { closeSync, ftruncateSync, openSync, readdirSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openWeights } from '#fiddler/loading/layout.js';
import { folderSource } from '#fiddler/loading/source.js';
import { readHeader } from '#fiddler/weights/gguf/header.js';
import type { Chance } from '../chance.js';
import { mutateBytes } from '../mutate.js';
import type { Target } from '../target.js';

const heads = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..', '..', 'test', 'golden-gguf');
const FILE = 'model.gguf';

interface Seed {
  head: Uint8Array;
  /** Of the whole file. */
  bytes: number;
}

/** What readers of GGUF files were found to trust: counts and lengths that overflow, alignments, types. */
const NUMBERS = [0n, 1n, 3n, 9n, 40n, 255n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 53n, 2n ** 61n, 2n ** 63n, 2n ** 64n - 1n];

/** Headers of GGUF files: weights are found, none is read. */
export function target(folder: string): Target<Seed> {
  const seeds = readdirSync(heads)
    .filter((name) => name.endsWith('.head'))
    .map((name) => seedOf(join(heads, name)));
  const path = join(folder, FILE);
  return {
    make(chance: Chance) {
      const { head, bytes } = chance.of(seeds);
      const damaged = chance.happens(0.5) ? mutateBytes(head, chance) : withNumber(head, chance);
      return { head: damaged, bytes: chance.happens(0.9) ? bytes : chance.below(2 * bytes) };
    },
    read({ head, bytes }) {
      rmSync(path, { force: true });
      const file = openSync(path, 'w');
      writeSync(file, head);
      ftruncateSync(file, bytes); // what follows the header has no bytes on the disk
      closeSync(file);
      openWeights(folderSource(path), {}).checkpoint.close();
    },
    show: ({ head }) => head,
  };
}

function seedOf(path: string): Seed {
  const head = readFileSync(path);
  const { tensors } = readHeader(path, head, 2 ** 40)!;
  return { head, bytes: Math.max(...tensors.map(({ offset, bytes }) => offset + bytes)) };
}

/** With four or eight bytes of it made another number. */
function withNumber(head: Uint8Array, chance: Chance): Uint8Array {
  const changed = Buffer.from(head);
  for (let i = chance.few(); i > 0; i--) {
    const at = chance.below(head.length - 8);
    const number = chance.of(NUMBERS);
    if (chance.happens(0.5)) changed.writeUInt32LE(Number(BigInt.asUintN(32, number)), at);
    else changed.writeBigUInt64LE(number, at);
  }
  return changed;
}
