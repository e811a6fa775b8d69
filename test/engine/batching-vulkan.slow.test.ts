import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, vi } from 'vitest';
import { prepareEnvironment } from '../../src/devices/environment.js';
import { temporaryFolder } from '../support/folder.js';
import { readTensors } from '../support/model.js';
import { writeSafetensors } from '../support/safetensors.js';
import { SOFTWARE_VULKAN, vulkanMissing } from '../support/vulkan.js';
import { sameAsAlone } from './batching.js';

// Read by ggml's libraries when they load, which is with the first model here.
for (const [name, value] of Object.entries(SOFTWARE_VULKAN)) vi.stubEnv(name, value);
prepareEnvironment({ dtype: 'f32' });

/** Schedules of each model. */
const runs = Number(process.env.FIDDLER_SCHEDULES ?? 4);

/** Qwen3-Next with six heads of values: what a token has of each, 24 bytes, is no multiple of Mesa's alignment. */
function withSixHeads(): string {
  const from = 'test/golden/qwen3_next';
  const dir = join(temporaryFolder(), 'qwen3_next');
  mkdirSync(dir);
  const config = JSON.parse(readFileSync(join(from, 'config.json'), 'utf8'));
  writeFileSync(join(dir, 'config.json'), JSON.stringify({ ...config, linear_num_value_heads: 6 }));
  const shapes = new Map<string, (shape: readonly number[]) => number[]>([
    ['A_log', () => [6]],
    ['dt_bias', () => [6]],
    ['conv1d.weight', ([, ...kernel]) => [160, ...kernel]],
    ['in_proj_ba.weight', ([, hidden]) => [12, hidden!]],
    ['in_proj_qkvz.weight', ([, hidden]) => [256, hidden!]],
    ['out_proj.weight', ([hidden]) => [hidden!, 96]],
  ]);
  const tensors = readTensors(join(from, 'model.safetensors')).map((tensor) => {
    const shape = shapes.get(tensor.name.split('.linear_attn.')[1]!)?.(tensor.shape);
    if (!shape) return tensor;
    const bytes = 2 * shape.reduce((a, b) => a * b);
    return {
      ...tensor,
      shape,
      data: Uint8Array.from({ length: bytes }, (_, i) => tensor.data[i % tensor.data.length]!),
    };
  });
  writeSafetensors(join(dir, 'model.safetensors'), tensors);
  return dir;
}

describe.skipIf(vulkanMissing())('sequences that are computed at once on software Vulkan', () => {
  const gives = (name: string, runs: number, longest: number, model = `test/golden/${name}`) => {
    const options = { expertCache: undefined };
    sameAsAlone({ accelerator: 'vulkan', model, runs, options, longest });
  };

  it.each(['mixtral', 'gpt_oss', 'deepseek_v3', 'switch'])(
    'give what each gives alone in %s',
    (name) => gives(name, runs, 12),
    120_000 + runs * 60_000,
  );

  // States, convolutions, indexers, compressed blocks; hyper-connections take hundreds of small operations a layer.
  it.each(['deepseek_v4', 'qwen4_exp', 'glm_moe_dsa', 'kimi_linear', 'qwen3_next', 'nemotron_h', 'openmoe'])(
    'give what each gives alone in %s',
    (name) => gives(name, Math.ceil(runs / 4), 5),
    300_000 + runs * 60_000,
  );

  it(
    'give what each gives alone where a part of what tokens have begins between two multiples of the alignment',
    () => gives('qwen3_next', runs, 5, withSixHeads()),
    300_000,
  );
});
