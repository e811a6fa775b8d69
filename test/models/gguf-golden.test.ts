import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { goldenTest } from '../engine/golden.js';
import { CONVERTED, writeConverted } from '../support/converted.js';

const gguf = mkdtempSync(join(tmpdir(), 'fiddler-gguf-'));
const models = Object.keys(CONVERTED);

beforeAll(() => {
  for (const name of models) writeConverted(name, join(gguf, `${name}.gguf`));
});
afterAll(() => rmSync(gguf, { recursive: true }));

// Every policy, residency and prompt of them: gguf-golden.slow.test.ts.
goldenTest({ accelerator: 'none', dtype: 'f32', models, policies: ['lanes'], cases: 1, tokens: 8, gguf });
goldenTest({
  accelerator: 'host',
  dtype: 'f32',
  models: ['gemma4', 'gpt_oss-mxfp4', 'granitemoe', 'laguna', 'mistral4', 'mixtral'],
  policies: ['lanes'],
  residencies: [50],
  tokens: 4,
  gguf,
});
goldenTest({
  accelerator: 'host',
  dtype: 'auto',
  models: ['gpt_oss', 'deepseek_v3'],
  policies: ['lanes', 'fiddler'],
  residencies: [50],
  tokens: 4,
  gguf,
});
