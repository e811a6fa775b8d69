import { describe, it, vi } from 'vitest';
import { prepareEnvironment } from '../../src/devices/environment.js';
import { SOFTWARE_VULKAN, vulkanMissing } from '../support/vulkan.js';
import { goldenBeams } from './beams.js';

// Read by ggml's libraries when they load, which is with the model here.
for (const [name, value] of Object.entries(SOFTWARE_VULKAN)) vi.stubEnv(name, value);
prepareEnvironment({ dtype: 'f32' });

describe.skipIf(vulkanMissing())('beams on software Vulkan', () => {
  it('are those of the reference', () => {
    goldenBeams({ accelerator: 'vulkan', policy: 'stream' }, 1); // a policy without costs: measuring them takes minutes
  });
});
