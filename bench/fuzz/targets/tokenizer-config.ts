import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TemplateProcess } from '#fiddler/text/jinja/process.js';
import { loadChatTemplate } from '#fiddler/text/template.js';
import { loadTokenizer } from '#fiddler/text/tokenizer.js';
import { mutateJson, writeJson } from '../mutate.js';
import { TOKENIZER_CONFIG, TOKENIZERS } from '../seed-tokenizers.js';
import type { Target } from '../target.js';
import { LONGEST, useTokenizer } from './tokenizer.js';

/** tokenizer_config.json: beside a tokenizer.json that is right, and with its chat template. */
export function target(folder: string): Target<Uint8Array> {
  writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(TOKENIZERS[1]));
  const templates = new TemplateProcess(1000);
  return {
    make: (chance) => writeJson(mutateJson(TOKENIZER_CONFIG, chance), chance),
    async read(bytes) {
      writeFileSync(join(folder, 'tokenizer_config.json'), bytes);
      const tokenizer = loadTokenizer(folder, LONGEST)!;
      useTokenizer(tokenizer);
      const template = await loadChatTemplate(folder, templates, tokenizer.added);
      await template?.render([{ role: 'user', content: '</s>' }]);
    },
    show: (bytes) => bytes,
    close: () => templates.close(),
  };
}
