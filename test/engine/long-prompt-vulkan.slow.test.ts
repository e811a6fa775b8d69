import { describe, expect, it, vi } from 'vitest';
import { prepareEnvironment } from '../../src/devices/environment.js';
import { loadEngine } from '../../src/engine/load.js';
import { NO_COSTS } from '../../src/experts/costs.js';
import { Lanes } from '../../src/experts/lanes/lanes.js';
import { policyNamed } from '../../src/experts/policies/index.js';
import { SOFTWARE_VULKAN, vulkanMissing } from '../support/vulkan.js';

// Read by ggml's libraries when they load, which is with the first model here.
for (const [name, value] of Object.entries(SOFTWARE_VULKAN)) vi.stubEnv(name, value);
prepareEnvironment({ dtype: 'f32' });

const tokens = Array.from({ length: 1100 }, (_, i) => ((i * 37) % 200) + 5);
/** An expert's copy takes as long as the CPU takes for it. */
const EVEN = { ...NO_COSTS, cpu: () => 1, copy: 1, accelerator: () => 0.1, overlap: true };

function run(accelerator: 'none' | 'vulkan') {
  const shared = { dtype: 'f32', ctx: 1152, chunk: tokens.length, threads: 1, profile: false } as const;
  const some = accelerator === 'vulkan' ? { expertsResident: 0.5 } : {};
  const session = loadEngine('models/mini-mixtral', { accelerator, policy: 'lanes', ...some, ...shared });
  try {
    session.use(policyNamed('lanes'), EVEN);
    return { logits: session.step(tokens, 0), lanes: session.lanes };
  } finally {
    session.close();
  }
}

describe.skipIf(vulkanMissing())('a prompt of more than a thousand tokens on software Vulkan', () => {
  it('begins with resident experts and has the same logits', () => {
    const begun = vi.spyOn(Lanes.prototype, 'queueResidents');
    const { logits, lanes } = run('vulkan');
    expect(begun.mock.calls.length).toBeGreaterThan(0);
    begun.mockRestore();
    expect(lanes.resident.experts).toBeGreaterThan(0);
    expect(lanes.streamed.experts).toBeGreaterThan(0);
    const expected = run('none').logits;
    const error = logits.reduce((sum, x, i) => sum + (x - expected[i]!) ** 2, 0);
    expect(error / expected.reduce((sum, x) => sum + x ** 2, 0)).toBeLessThan(1e-6);
  });
});
