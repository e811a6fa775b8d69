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

goldenTest({ accelerator: 'none', dtype: 'f32', models, gguf });
goldenTest({ accelerator: 'host', dtype: 'f32', models, residencies: [0, 50, 100], tokens: 4, gguf });
const inStoredType = ['deepseek_v3', 'gpt_oss', 'gpt_oss-mxfp4', 'mixtral', 'qwen3_next'];
goldenTest({ accelerator: 'host', dtype: 'auto', models: inStoredType, residencies: [50], tokens: 4, gguf });
// A row takes three seconds of CPU there: with FIDDLER_GGUF=all in the environment there are all.
const all = process.env.FIDDLER_GGUF === 'all';
const onVulkan = { accelerator: 'vulkan', dtype: 'f32', tokens: 2, gguf } as const;
goldenTest({ ...onVulkan, models: all ? models : ['mixtral'], residencies: [0, 50, 100] });
if (!all) {
  const some = ['deepseek_v3', 'gemma4', 'gpt_oss', 'gpt_oss-mxfp4', 'qwen3_moe', 'qwen3_next'];
  goldenTest({ ...onVulkan, models: some, policies: ['lanes'], residencies: [50] });
}
