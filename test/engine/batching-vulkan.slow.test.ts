import { describe, it, vi } from 'vitest';
import { prepareEnvironment } from '../../src/devices/environment.js';
import { SOFTWARE_VULKAN, vulkanMissing } from '../support/vulkan.js';
import { sameAsAlone } from './batching.js';

// Read by ggml's libraries when they load, which is with the first model here.
for (const [name, value] of Object.entries(SOFTWARE_VULKAN)) vi.stubEnv(name, value);
prepareEnvironment({ dtype: 'f32' });

/** Schedules of each model. */
const runs = Number(process.env.FIDDLER_SCHEDULES ?? 4);

describe.skipIf(vulkanMissing())('sequences that are computed at once on software Vulkan', () => {
  const gives = (name: string, runs: number, longest: number) => {
    const options = { expertCache: undefined };
    sameAsAlone({ accelerator: 'vulkan', model: `test/golden/${name}`, runs, options, longest });
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
});
