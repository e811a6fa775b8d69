import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe } from '#fiddler/loading/blueprint.js';
import { folderSource } from '#fiddler/loading/source.js';
import { type Json, mutateJson, writeJson } from '../mutate.js';
import { linkedFolder, MODELS } from '../seeds.js';
import type { Target } from '../target.js';

const NAME = 'generation_config.json';

/** generation_config.json, from which end tokens are taken. */
export function target(folder: string): Target<Uint8Array> {
  const model = MODELS[0]!.folder;
  const linked = linkedFolder(folder, 'model', model, [NAME]);
  const seeds: Json[] = [{ eos_token_id: 2 }, { eos_token_id: [1, 2], bos_token_id: 1, temperature: 0.6, top_p: 0.9 }];
  return {
    make: (chance) => writeJson(mutateJson(chance.of(seeds), chance, seeds), chance),
    read(bytes) {
      writeFileSync(join(linked, NAME), bytes);
      return describe(folderSource(linked));
    },
    show: (bytes) => bytes,
  };
}
