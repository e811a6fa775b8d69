import { describe, it, vi } from 'vitest';
import { prepareEnvironment } from '../../src/devices/environment.js';
import { SOFTWARE_VULKAN, vulkanMissing } from '../support/vulkan.js';
import { expectSameTokensWherever } from './rebalance.js';

// Read by ggml's libraries when they load, which is with the first model here.
for (const [name, value] of Object.entries(SOFTWARE_VULKAN)) vi.stubEnv(name, value);
prepareEnvironment({ dtype: 'f32' });

const VULKAN = { accelerator: 'vulkan', expertsResident: 0.25, ctx: 64, threads: 1, dtype: 'f32' } as const;

describe.skipIf(vulkanMissing())('experts that come and go on software Vulkan', () => {
  // Policies without costs: measuring them takes minutes there.
  it.each(['stream', 'static'])('give the same tokens wherever they lie, policy %s', (policy) => {
    expectSameTokensWherever('test/golden/mixtral', { ...VULKAN, policy }, 3);
  });
});
