import { describe, it, vi } from 'vitest';
import { prepareEnvironment } from '../../src/devices/environment.js';
import { SOFTWARE_VULKAN, vulkanMissing } from '../support/vulkan.js';
import { sameAsAlone } from './batching.js';

// Read by ggml's libraries when they load, which is with the first model here.
for (const [name, value] of Object.entries(SOFTWARE_VULKAN)) vi.stubEnv(name, value);
prepareEnvironment({ dtype: 'f32' });

describe.skipIf(vulkanMissing())('sequences that are computed at once on software Vulkan', () => {
  it.each(['mixtral', 'gpt_oss', 'deepseek_v3', 'switch'])('give what each gives alone in %s', (name) => {
    // A policy without costs: measuring them takes minutes there.
    const options = { policy: 'stream', expertCache: undefined };
    sameAsAlone({ accelerator: 'vulkan', model: `test/golden/${name}`, runs: 4, options, longest: 12 });
  });
});
