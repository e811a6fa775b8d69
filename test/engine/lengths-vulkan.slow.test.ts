import { describe, expect, it, vi } from 'vitest';
import { prepareEnvironment } from '../../src/devices/environment.js';
import { loadEngine } from '../../src/engine/load.js';
import { SOFTWARE_VULKAN, vulkanMissing } from '../support/vulkan.js';

// Read by ggml's libraries when they load, which is with the first model here.
for (const [name, value] of Object.entries(SOFTWARE_VULKAN)) vi.stubEnv(name, value);
prepareEnvironment({ dtype: 'f32' });

/** Tokens of the calls: each may need more of the scratch memory that kernels share than the one before. */
const CALLS = [32, 1, 2, 70, 1, 3];

function logitsOf(accelerator: 'none' | 'vulkan'): Float32Array[] {
  const session = loadEngine('models/mini-mixtral', {
    accelerator,
    policy: 'static',
    dtype: 'f32',
    ctx: 128,
    threads: 1,
    profile: false,
  });
  try {
    return CALLS.map((count) =>
      session.step(
        Array.from({ length: count }, (_, i) => i + 5),
        0,
      ),
    );
  } finally {
    session.close();
  }
}

describe.skipIf(vulkanMissing())('on software Vulkan', () => {
  it('calls of any length may follow each other', () => {
    const expected = logitsOf('none');
    for (const [call, logits] of logitsOf('vulkan').entries()) {
      const error = logits.reduce((sum, x, i) => sum + (x - expected[call]![i]!) ** 2, 0);
      expect(error / expected[call]!.reduce((sum, x) => sum + x ** 2, 0), `call ${call}`).toBeLessThan(1e-6);
    }
  });
});
