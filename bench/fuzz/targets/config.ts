import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadEngine } from '#fiddler/engine/load.js';
import { layOut } from '#fiddler/loading/layout.js';
import { folderSource } from '#fiddler/loading/source.js';
import type { Chance } from '../chance.js';
import { mutateJson, writeJson } from '../mutate.js';
import { linkedFolder, MODELS } from '../seeds.js';
import type { Target } from '../target.js';

interface Input {
  folder: string;
  config: Uint8Array;
  accelerator: 'none' | 'host';
}

/** config.json: a plan is made, the model is loaded and computes a token, unless one of them is refused. */
export function target(folder: string): Target<Input> {
  process.env.FIDDLER_CACHE = join(folder, 'cache');
  const folders = MODELS.map((model, i) => linkedFolder(folder, `model-${i}`, model.folder, ['config.json']));
  const configs = MODELS.map(({ config }) => config);
  return {
    make(chance: Chance) {
      const i = chance.below(MODELS.length);
      const config = writeJson(mutateJson(configs[i]!, chance, configs), chance);
      return { folder: folders[i]!, config, accelerator: chance.of(['none', 'host'] as const) };
    },
    read({ folder: model, config, accelerator }) {
      writeFileSync(join(model, 'config.json'), config);
      const options = { accelerator, threads: 1, policy: 'static', profile: false } as const;
      layOut(folderSource(model), options, { countsOnly: true }).close();
      const engine = loadEngine(model, options);
      try {
        engine.generate(
          [1, 2, 3],
          { maxTokens: 2, temperature: 0 },
          () => false,
          () => false,
        );
      } finally {
        engine.close();
      }
    },
    show: ({ config }) => config,
  };
}
