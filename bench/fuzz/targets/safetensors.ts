import { closeSync, ftruncateSync, openSync, readFileSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { openWeights } from '#fiddler/loading/layout.js';
import { folderSource } from '#fiddler/loading/source.js';
import type { Chance } from '../chance.js';
import { type Json, mutateBytes, mutateJson } from '../mutate.js';
import { linkedFolder, MODELS } from '../seeds.js';
import type { Target } from '../target.js';

const FILE = 'model.safetensors';
const INDEX = 'model.safetensors.index.json';

interface Header {
  folder: string;
  json: Json;
  /** Of the whole file. */
  bytes: number;
}

interface Input {
  folder: string;
  head: Uint8Array;
  bytes: number;
  /** An index beside the file, which is then the index's one shard. */
  index?: string;
}

/** Headers of safetensors files, and the index of several: weights are found, none is read. */
export function target(folder: string): Target<Input> {
  const headers = MODELS.map((model, i): Header => {
    const file = readFileSync(join(model.folder, FILE));
    const json = JSON.parse(file.toString('utf8', 8, 8 + Number(file.readBigUInt64LE()))) as Json;
    const linked = linkedFolder(folder, `model-${i}`, model.folder, [FILE]);
    return { folder: linked, json, bytes: statSync(join(model.folder, FILE)).size };
  });
  return {
    make(chance: Chance) {
      const { folder, json, bytes } = chance.of(headers);
      const sharded = chance.happens(0.2);
      const head = headOf(sharded && chance.happens(0.5) ? json : mutateJson(json, chance));
      const damaged = chance.happens(0.3) ? mutateBytes(head, chance) : head;
      const size = chance.happens(0.9) ? bytes : chance.below(2 * bytes);
      return { folder, head: damaged, bytes: size, ...(sharded && { index: indexOf(json, chance) }) };
    },
    read({ folder, head, bytes, index }) {
      const name = index === undefined ? FILE : 'shard.safetensors';
      for (const file of [FILE, 'shard.safetensors', INDEX]) rmSync(join(folder, file), { force: true });
      const file = openSync(join(folder, name), 'w');
      writeSync(file, head);
      ftruncateSync(file, bytes); // what follows the header has no bytes on the disk
      closeSync(file);
      if (index !== undefined) writeFileSync(join(folder, INDEX), index);
      openWeights(folderSource(folder), {}).checkpoint.close();
    },
    show: ({ head }) => head,
  };
}

function headOf(json: Json): Uint8Array {
  const text = Buffer.from(JSON.stringify(json));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text]);
}

function indexOf(header: Json, chance: Chance): string {
  const names = Object.keys(header as object).filter((name) => name !== '__metadata__');
  const index = { metadata: {}, weight_map: Object.fromEntries(names.map((name) => [name, 'shard.safetensors'])) };
  return JSON.stringify(chance.happens(0.2) ? index : mutateJson(index, chance));
}
