import { readdirSync } from 'node:fs';
import { describe, it } from 'vitest';
import { sameAsAlone } from './batching.js';

const GOLDEN = 'test/golden';
const MODELS = readdirSync(GOLDEN, { withFileTypes: true }).flatMap((entry) =>
  entry.isDirectory() && entry.name !== 'mini-mixtral' ? [entry.name] : [],
);

/** One of each kind of attention and routing; on `none` all are computed. */
const KINDS = [
  'deepseek_v3',
  'deepseek_v4',
  'gemma4',
  'gpt_oss',
  'nemotron_h',
  'openmoe',
  'phimoe-longrope-long',
  'qwen3_next',
  'switch',
];

describe('sequences that are computed at once give what each gives alone', () => {
  it.each(['none', 'host'] as const)('over 500 schedules on %s', (accelerator) => {
    sameAsAlone({ accelerator, model: `${GOLDEN}/mixtral`, runs: 500 });
  });

  it.each(MODELS)('in %s on none', (name) => {
    sameAsAlone({ accelerator: 'none', model: `${GOLDEN}/${name}`, runs: 8 });
  });

  it.each(KINDS)('in %s on host', (name) => {
    sameAsAlone({ accelerator: 'host', model: `${GOLDEN}/${name}`, runs: 12 });
  });
});
