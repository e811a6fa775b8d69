import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../support/folder.js';
import { fiddler, jsonLines } from './fiddler.js';

const GREEDY = [
  '--accelerator',
  'none',
  '--threads',
  '1',
  '--temperature',
  '0',
  '--dtype',
  'f32',
  '--max-tokens',
  '12',
];

async function generated(model: string, more: readonly string[] = []) {
  const { stdout } = await fiddler(['run', 'Once there was a king', '--model', model, '--json', ...GREEDY, ...more]);
  const lines = jsonLines(stdout);
  return { ids: lines.slice(0, -1).map(({ token }) => token as number), finish: lines.at(-1).report.finish };
}

/** The bundled model in which one of the tokens that it generates is a control token. */
async function modelWithControl(content: string) {
  const { ids } = await generated('models/mini-mixtral');
  const at = ids.findIndex((id, i) => i > 2 && ids.indexOf(id) === i);
  expect(at).toBeGreaterThan(2);
  const dir = temporaryFolder();
  cpSync('models/mini-mixtral', dir, { recursive: true });
  const file = join(dir, 'tokenizer.json');
  const json = JSON.parse(readFileSync(file, 'utf8'));
  json.added_tokens.push({ id: ids[at], content, special: true, normalized: false });
  writeFileSync(file, JSON.stringify(json));
  return { dir, before: ids.slice(0, at), control: ids[at]! };
}

describe('generation', () => {
  it('stops at a control token by its text, and ends at the one that only tokenizer_config.json names', async () => {
    const { dir, before, control } = await modelWithControl('<|im_end|>');
    expect((await generated(dir)).finish).toBe('length');
    expect(await generated(dir, ['--stop', '<|im_end|>'])).toEqual({ ids: [...before, control], finish: 'stop' });
    writeFileSync(join(dir, 'tokenizer_config.json'), JSON.stringify({ eos_token: '<|im_end|>' }));
    expect(await generated(dir)).toEqual({ ids: before, finish: 'end' });
  });
});
