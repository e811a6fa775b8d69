import { describe, it, vi } from 'vitest';
import { prepareEnvironment } from '../../src/devices/environment.js';
import { SOFTWARE_VULKAN, vulkanMissing } from '../support/vulkan.js';
import { expectSameTokens } from './rebalance.js';

// Read by ggml's libraries when they load, which is with the first model here.
for (const [name, value] of Object.entries(SOFTWARE_VULKAN)) vi.stubEnv(name, value);
prepareEnvironment({ dtype: 'f32' });

const VULKAN = { accelerator: 'vulkan', expertsResident: 0.25, ctx: 128, threads: 1, dtype: 'f32' } as const;

describe.skipIf(vulkanMissing())('exchanging experts while running on software Vulkan', () => {
  it('changes no token', () => {
    expectSameTokens('test/golden/mixtral', { ...VULKAN, policy: 'fiddler' }, 12);
  });
});
